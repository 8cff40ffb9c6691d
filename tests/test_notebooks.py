"""The notebooks are executed from top to bottom on tiny settings; what is committed are outputs of real ones."""

import ast
import json
import os
import re
import subprocess
import sys

import nbformat
import pytest

import mae
from notebooks.execute import FOLDER, NOTEBOOKS

# In place of what the first cell of code says. The second and the fifth notebook take what the first one made.
TINY = {
    "01_pretrain": {"model": "vit_micro", "videos_per_class": 2, "steps": 2},
    "02_reconstruct": {},
    "03_finetune": {
        **{"videos_per_class": 2, "labelled_per_class": 1, "held_out_per_class": 1},
        **{"steps": 2, "finetuning_steps": 2, "batch_size": 8},
    },
    "04_released_checkpoints": {"model": "vit_micro"},
    "05_own_loop": {"model": "vit_micro", "steps": 2, "batch_size": 4},
}
MEGABYTE = 10**6
LONGEST = 600  # seconds
COMMAND = re.compile(r"^!(.*\\\n)*.*$", re.MULTILINE)
PATH_OF_SOME_MACHINE = re.compile("/(home|root|tmp|work|Users|usr)/")
by_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    notebook = nbformat.read(path, as_version=4)
    return notebook, [cell for cell in notebook.cells if cell.cell_type == "code"]


def python_of(cell):
    """The syntax tree of a cell, without the commands in it."""
    return ast.parse(COMMAND.sub("", cell.source))


@pytest.mark.commands
def test_notebooks_run(tmp_path):
    """In processes of their own, with a limit to memory and time: a worker of pytest once grew to 21 GB here."""
    assert [path.stem for path in NOTEBOOKS] == list(TINY)
    copies = [tmp_path / path.name for path in NOTEBOOKS]
    for path, copy in zip(NOTEBOOKS, copies, strict=True):
        notebook, cells = code_cells(path)
        values = TINY[path.stem]
        assert cells[0].metadata.tags == ["parameters"]
        assert set(values) <= {target.id for node in python_of(cells[0]).body for target in node.targets}
        cells[0].source += "".join(f"\n{name} = {value!r}" for name, value in values.items())
        notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))  # names of the one before
        for cell in cells:
            cell.update(outputs=[], execution_count=None)
        nbformat.write(notebook, copy)
    command = [sys.executable, FOLDER / "execute.py", "--one-kernel", *copies]
    printed = tmp_path / "printed.txt"  # a file, as a pipe would be read into the memory of this process
    with printed.open("wb") as file:
        done = subprocess.run(
            command,
            env={**os.environ, "KERAS_BACKEND": "tensorflow"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=LONGEST,
        )
    with printed.open("rb") as file:
        file.seek(max(0, printed.stat().st_size - 10_000))
        assert done.returncode == 0, file.read().decode(errors="replace")
    for copy in copies:  # `%reset` counts from one again
        cells = code_cells(copy)[1]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@by_notebook
def test_only_public_names_are_used(path):
    for cell in code_cells(path)[1]:
        for node in ast.walk(python_of(cell)):
            if isinstance(node, ast.Import):
                assert not [name.name for name in node.names if name.name.startswith("mae.")]
            elif isinstance(node, ast.ImportFrom):
                assert node.module.partition(".")[0] != "mae"
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "mae":
                assert node.attr in mae.__all__


@by_notebook
def test_committed_outputs_are_of_a_whole_run(path):
    cells = code_cells(path)[1]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    text = json.dumps(outputs)
    assert path.stem == "04_released_checkpoints" or "image/jpeg" in text
    assert not PATH_OF_SOME_MACHINE.search(text)
    assert path.stat().st_size < MEGABYTE
