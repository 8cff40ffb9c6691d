"""`make notebooks`: runs the notebooks in their order and keeps the outputs and pictures of whole runs in them.

`python notebooks/execute.py notebooks/04_released_checkpoints.ipynb`: one of them.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PATIENCE = 3600  # seconds for the process to start: no machine is too slow for it


@contextmanager
def kernel(folder: Path) -> Iterator[KernelManager]:
    """A process that runs cells in `folder`, with this clone and this Python, also where a cell says `!python`."""
    paths = {"PATH": Path(sys.executable).parent, "PYTHONPATH": FOLDER.parent}
    added = {name: f"{path}{os.pathsep}{os.environ.get(name, '')}" for name, path in paths.items()}
    manager = KernelManager(kernel_name="python3")
    # What libraries log past Python, as TensorFlow when it starts, is no output of a cell.
    quiet = ["--IPKernelApp.capture_fd_output=False"]
    manager.start_kernel(cwd=str(folder), env={**os.environ, **added}, extra_arguments=quiet)
    try:
        yield manager
    finally:
        manager.shutdown_kernel(now=True)


def execute(notebook: nbformat.NotebookNode, manager: KernelManager) -> None:
    """Runs all cells and puts their outputs into the notebook.

    Raises:
        CellExecutionError: a cell failed; the message shows it.
    """
    client = NotebookClient(notebook, km=manager, startup_timeout=PATIENCE, record_timing=False)
    try:
        client.execute()
    finally:
        if client.kc is not None:
            client.kc.stop_channels()


if __name__ == "__main__":
    for path in [Path(argument) for argument in sys.argv[1:]] or NOTEBOOKS:
        print(path.name, flush=True)
        notebook = nbformat.read(path, as_version=4)
        with kernel(FOLDER) as manager:
            execute(notebook, manager)
        nbformat.write(notebook, path)
