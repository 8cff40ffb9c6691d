"""`make notebooks`: runs the notebooks in their order and keeps the outputs and pictures of whole runs in them.

`python notebooks/execute.py notebooks/04_released_checkpoints.ipynb`: one of them. With `--one-kernel` one process runs
the cells of all, so that TensorFlow is imported once.
"""

import argparse
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PATIENCE = 3600  # seconds for the process to start: no machine is too slow for it
ENOUGH = 4 * 2**30  # bytes of addresses for what waits for the cells and holds no more than their outputs


@contextmanager
def kernel(folder: Path) -> Iterator[KernelManager]:
    """A process that runs cells in `folder`, with this clone and this Python, also where a cell says `!python`."""
    paths = {"PATH": Path(sys.executable).parent, "PYTHONPATH": FOLDER.parent}
    added = {name: f"{path}{os.pathsep}{os.environ.get(name, '')}" for name, path in paths.items()}
    manager = KernelManager(kernel_name="python3")
    # The one by default blocks the loop of nbclient, which then never sees that the process died and waits for ever.
    manager.client_class = "jupyter_client.asynchronous.AsyncKernelClient"
    # What libraries log past Python, as TensorFlow when it starts, is no output of a cell.
    quiet = ["--IPKernelApp.capture_fd_output=False"]
    manager.start_kernel(cwd=str(folder), env={**os.environ, **added}, extra_arguments=quiet)
    # From here on, as the process of the cells needs more: an output without end is an error, not all of the memory.
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (ENOUGH if before[1] < 0 else min(ENOUGH, before[1]), before[1]))
    try:
        yield manager
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
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


def main() -> None:
    """Runs the notebooks, each in its own folder, and writes what came out into them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("notebooks", nargs="*", type=Path, default=NOTEBOOKS)
    parser.add_argument("--one-kernel", action="store_true", help="one process for all, in the folder of the first")
    arguments = parser.parse_args()
    with kernel(arguments.notebooks[0].parent) if arguments.one_kernel else nullcontext() as shared:
        for path in arguments.notebooks:
            print(path.name, flush=True)
            notebook = nbformat.read(path, as_version=4)
            with nullcontext(shared) if shared else kernel(path.parent) as manager:
                execute(notebook, manager)
            nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
