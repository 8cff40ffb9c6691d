"""The commands, and what messages tell people to type for them: it depends on where the package is.

A clone of the repository has scripts, `python pretrain.py`; where a wheel is installed there are `mae-pretrain` and
`mae predict`.
"""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = "mae-video"
COMMANDS = {  # the module of each, whose `main` takes its arguments
    "pretrain": "mae.pretraining.command",
    "finetune": "mae.finetuning.command",
    "predict": "mae.predict",
    "extract": "mae.extract",
    "reconstruct": "mae.reconstruct",
    "attention": "mae.attention",
    "masks": "mae.masks",
    "convert": "mae.convert",
    "scan": "mae.data.scan.__main__",
    "pack": "mae.data.pack.__main__",
    "report": "mae.report.__main__",
    "replay": "mae.monitoring.replay",
    "doctor": "mae.doctor.__main__",
}
SCRIPTS = {"pretrain": "pretrain.py", "finetune": "finetune.py"}  # of a clone
_PROGRAMS = {"pretrain": "mae-pretrain", "finetune": "mae-finetune"}  # installed; for the others there is `mae`
_PACKAGE = Path(__file__).parents[1]


def to_type(name: str, *settings: str) -> str:
    """What to type for a command with these settings, quoted for the shell.

    In a clone, it is the script beside the one that runs now, which may lie elsewhere, or `python -m`.

    Args:
        name: in `COMMANDS`.
    """
    running = Path(sys.argv[0])
    is_script = running.name in SCRIPTS.values()
    if _is_program(running) or running == _PACKAGE / "__main__.py" or not (is_script or is_clone()):
        return shlex.join([*_installed(name), *settings])
    if name not in SCRIPTS:
        return shlex.join([_python(), "-m", called_module(name), *settings])
    script = running.with_name(SCRIPTS[name]) if is_script else Path(SCRIPTS[name])
    return shlex.join([_python(), str(script), *settings])


def program(name: str) -> str:
    """The installed program that is a command."""
    return _PROGRAMS.get(name, f"mae {name}")


def called_module(name: str) -> str:
    """The module of a command as it stands behind `python -m`."""
    return COMMANDS[name].removesuffix(".__main__")


def to_install(extra: str) -> str:
    """What to type for what an extra of this project brings."""
    return f"pip install -e '.[{extra}]'" if is_clone() else f"pip install '{PROJECT}[{extra}]'"


def as_typed(words: Sequence[str]) -> str:
    """What was typed, for a shell to take.

    Args:
        words: what Python was told to run: `sys.orig_argv` without the interpreter.
    """
    file, *others = words
    return shlex.join([Path(file).name, *others] if _is_program(Path(file)) else ["python", *words])


def is_clone() -> bool:
    """Whether the package is the one in a clone of the repository, wherever the command runs."""
    return (_PACKAGE.parent / SCRIPTS["pretrain"]).is_file()


def _is_program(running: Path) -> bool:
    return running.name in ("mae", *_PROGRAMS.values())


def _installed(name: str) -> list[str]:
    """The program, where the shell finds that of this interpreter; else `python -m mae`, which is the same."""
    words = program(name).split()
    return words if _is_beside_python(words[0]) else [_python(), "-m", "mae", name]


def _python() -> str:
    """This interpreter: by its name alone where the shell finds it by that."""
    return "python" if _is_beside_python("python") else sys.executable


def _is_beside_python(program: str) -> bool:
    found = shutil.which(program)
    return found is not None and Path(found).parent == Path(sys.executable).parent
