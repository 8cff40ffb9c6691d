"""How a command runs, from its arguments to its exit status."""

import sys
from collections.abc import Callable

from mae.cli.exit_status import exit_statuses
from mae.cli.quiet import quiet_libraries


def run_command(main: Callable[[list[str]], int | None]) -> None:
    """Runs a command with the arguments of this process and ends it.

    Args:
        main: given the arguments; returns the exit status, None for 0. What it raises is told as `exit_statuses` does.
    """
    quiet_libraries()
    with exit_statuses():
        sys.exit(main(sys.argv[1:]))
