"""How much memory and time loading a checkpoint takes:
`python benchmarks/checkpoints.py [--model vit_large] [--formats keras_h5 pytorch …] [--rounds 7] [--json result.json]`.

Writes a model of random weights in each format into a temporary folder. Then one process per format builds a model and
alternates between reading all of the file's bytes into memory and loading it; the best time of each counts. The file
is read once before, so that no time waits for a disk. Another process loads once and gives the memory: the peak over
what it had before it built the model, and that of a process it starts to read, over the size of file and model
together.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from measures import resident
from results import write_result

FORMATS = {
    "keras_h5": "x.h5",
    "pytorch": "x.pth",
    "huggingface": "hf",
    "savedmodel": "saved",
    "keras": "x.keras",
    "run": "x.npz",
}
COLUMNS = ("file GB", "read s", "load s", "load ÷ read", "peak ÷ (file + model)")


def build(preset: str):
    from mae.models.pretrainer import build_pretrainer

    return build_pretrainer(preset)


def files_of(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def read_bytes(path: Path) -> tuple[int, float]:
    """Size in bytes, and seconds to read everything into memory."""
    start, kept = time.perf_counter(), []
    for file in files_of(path):
        kept.append(file.read_bytes())
    return sum(map(len, kept)), time.perf_counter() - start


def with_children() -> int:
    """Bytes in memory of this process and those it started."""
    total = resident()
    for listed in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # one that ends meanwhile
            for child in listed.read_text().split():
                total += int(Path(f"/proc/{child}/statm").read_text().split()[1]) * resource.getpagesize()
    return total


class Peak:
    """The largest `with_children()` while the block runs."""

    def __enter__(self) -> "Peak":
        self.largest, self._stop = with_children(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.largest = max(self.largest, with_children())


def write(preset: str, path: Path, format: str) -> None:
    from mae.checkpoints.run_state import variables_to_arrays, write_checkpoint
    from mae.checkpoints.save import save_checkpoint

    model = build(preset)
    if format == "run":
        meta = {"step": 1, "config": {}, "architecture": asdict(model.architecture)}
        write_checkpoint(path, variables_to_arrays(model.variables), meta)
    else:
        save_checkpoint(model, path, format)


def memory(preset: str, path: Path) -> dict[str, float]:
    """Bytes at the peak of one load, and those of the model."""
    from mae.checkpoints.load import load_checkpoint

    before = resident()
    model = build(preset)
    with Peak() as peak:
        load_checkpoint(path, model)
    return {"peak": peak.largest - before, "model": 4 * model.count_params()}


def times(preset: str, path: Path, rounds: int) -> dict[str, float]:
    """Size of the file in bytes, and the shortest seconds of reading and of loading it."""
    from mae.checkpoints.load import load_checkpoint

    model = build(preset)
    read_bytes(path)
    reading, loading = [], []
    for _ in range(rounds):
        size, seconds = read_bytes(path)
        reading.append(seconds)
        start = time.perf_counter()
        load_checkpoint(path, model)
        loading.append(time.perf_counter() - start)
    return {"size": size, "read": min(reading), "load": min(loading)}


def child(what: str, preset: str, path: str, *argument: str) -> dict[str, Any]:
    """What a process of its own does, and answers; of a format that cannot hold the model, why."""
    match what:
        case "write":
            from mae.errors import ConfigError

            try:
                write(preset, Path(path), *argument)
            except ConfigError as error:
                return {"refused": str(error)}
            return {}
        case "times":
            return times(preset, Path(path), int(*argument))
        case _:
            return memory(preset, Path(path))


def in_process(*arguments: str) -> dict[str, Any]:
    """What this file answers in a process of its own."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--child", *arguments]
    made = subprocess.run(command, env=environment, capture_output=True, text=True)
    if made.returncode:
        sys.exit(made.stderr)
    return json.loads(made.stdout.splitlines()[-1])


def main(preset: str, formats: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Prints the table, and returns it: the figures of each format by the names of the columns."""
    print(f"{preset}, best of {rounds} rounds")
    print(f"{'format':<12} " + " ".join(f"{name:>{len(name) + 2}}" for name in COLUMNS))
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        for format in formats:
            folder = Path(name) / format
            folder.mkdir()
            path = folder / FORMATS[format]
            if refused := in_process("write", preset, str(path), format).get("refused"):
                print(f"{format:<12} left out: {refused}", flush=True)
                continue
            took = in_process("times", preset, str(path), str(rounds))
            used = in_process("memory", preset, str(path))
            share = used["peak"] / (took["size"] + used["model"])
            row = (took["size"] / 1e9, took["read"], took["load"], took["load"] / took["read"], share)
            figures[format] = dict(zip(COLUMNS, row, strict=True))
            shown = (f"{value:{len(name) + 2}.2f}" for name, value in figures[format].items())
            print(f"{format:<12} {' '.join(shown)}", flush=True)
            shutil.rmtree(folder)
    return figures


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--model", default="vit_large", help="a preset")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="a file for the figures")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    match sys.argv[1:]:
        case ["--child", *arguments]:
            print(json.dumps(child(*arguments)))
        case words:
            given = parse(words)
            measured = main(given.model, given.formats, given.rounds)
            if given.json:
                write_result(given.json, words, measured)
