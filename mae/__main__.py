"""`mae COMMAND …`, which is also `python -m mae COMMAND …`: every command of this project.

`mae-pretrain` and `mae-finetune` are `mae pretrain` and `mae finetune`. Nothing large is imported before Ctrl-C ends a
command without a word, and `mae` itself imports nothing of a command but the one that it runs.
"""

import ast
import sys
from importlib import import_module
from pathlib import Path

from mae.cli.command import run_command
from mae.cli.commands import COMMANDS, SCRIPTS, called_module, program
from mae.cli.exit_status import end_on_interrupt
from mae.errors import check_choice

_PACKAGE = Path(__file__).parent


def run() -> None:
    """Runs the command that the first argument names, and ends the process."""
    end_on_interrupt()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        _run(name, sys.argv[2:])
    run_command(lambda _: check_choice("command", name, COMMANDS), _overview(), [name])


def pretrain() -> None:
    """`mae-pretrain`."""
    end_on_interrupt()
    _run("pretrain", sys.argv[1:])


def finetune() -> None:
    """`mae-finetune`."""
    end_on_interrupt()
    _run("finetune", sys.argv[1:])


def _run(name: str, arguments: list[str]) -> None:
    command = import_module(COMMANDS[name])
    run_command(command.main, _here(name, command.__doc__ or ""), arguments)


def _here(name: str, text: str) -> str:
    """A text about a command as it is typed in a clone, with the program that is here."""
    typed = f"python {SCRIPTS[name]}" if name in SCRIPTS else f"python -m {called_module(name)}"
    return text.replace(typed, program(name))


def _overview() -> str:
    """What `mae --help` prints: of each command how it is called and what for, from the first line of its module."""
    lines = [_here(name, _first_line(module)).partition("`: ")[::2] for name, module in COMMANDS.items()]
    told = "\n".join(f"{call.lstrip('`')}\n    {purpose}" for call, purpose in lines)
    return f"{told}\n\nmae COMMAND --help says what it takes, mae --version which version this is."


def _first_line(module: str) -> str:
    """Of its docstring; nothing is imported."""
    path = _PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


if __name__ == "__main__":
    run()
