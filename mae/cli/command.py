"""How a command runs, from its arguments to its exit status."""

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import mae
from mae.cli.commands import PROJECT
from mae.cli.exit_status import exit_statuses
from mae.cli.output import guard_output
from mae.cli.quiet import quiet_libraries

HELP = {"--help", "-h"}


def run_command(
    main: Callable[[list[str]], int | None], documentation: str | None = None, arguments: Sequence[str] | None = None
) -> NoReturn:
    """Runs a command and ends the process.

    Args:
        main: given the arguments; returns the exit status, None for 0. What it raises is told as `exit_statuses` does.
        documentation: what `--help` prints; None: `main` sees to it.
        arguments: None: those of this process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    quiet_libraries()
    guard_output()
    with exit_statuses():
        if "--version" in given:
            print(f"{PROJECT} {mae.__version__}")
        elif documentation is not None and HELP & set(given):
            print(documentation)
        else:
            sys.exit(main(given))
    sys.exit()
