"""What the documents tell people to type, and what the headers of the benchmarks do."""

import ast
import re
import shlex
from pathlib import Path

from mae.cli.commands import SCRIPTS, called_module

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for room in ("datasets", "docs") for path in (ROOT / room).rglob("*.md"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *PAGES]
BATCH_SCRIPT = "docs/slurm/train.sbatch"
OURS = ("python ", "mae ", "mae-")
OTHERS = ("cd ", "docker ", "make ", "pip ", "sbatch ", "wandb ", "TF_CONFIG=")


def plain_blocks():
    """Document and lines of every code block that names no language: what is to be typed, printed or written."""
    for document in DOCUMENTS:
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE):
            if not language:
                yield document, block.splitlines()


def typed_lines():
    """Document and line of all that is to be typed."""
    for document, lines in plain_blocks():
        yield from ((document, line) for line in lines if line.startswith((*OURS, *OTHERS)))


def words_of(line):
    """As a shell splits them, without the comment."""
    return shlex.split(line, comments=True)


def in_a_clone(words):
    """The same command as it is typed in a clone."""
    program, *arguments = words
    if program == "python":
        return words
    name, *arguments = arguments if program == "mae" else [program.removeprefix("mae-"), *arguments]
    return ["python", *([SCRIPTS[name]] if name in SCRIPTS else ["-m", called_module(name)]), *arguments]


def benchmark_headers():
    """The commands in the docstrings of `benchmarks/*.py`, with everything that is optional in them."""
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        header = ast.get_docstring(ast.parse(path.read_text()))
        for command in re.findall(r"`(python benchmarks/[^`]+)`", header):
            yield re.sub(r"[\[\]…]", "", command)
