"""How much memory and time loading a checkpoint takes: `python benchmarks/checkpoints.py [preset] [format …]`.

Writes a model of random weights in each format into a temporary folder, then, each in a process of its own: reads the
file's bytes; builds an empty model and fills it. Memory is the peak over what the process had before it built the
model, over the size of file and model together. The file is read once before, so that neither time waits for a disk.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

FORMATS = {"keras_h5": "x.h5", "pytorch": "x.pth", "huggingface": "hf", "savedmodel": "saved"}
CHUNK = 1 << 24  # bytes


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


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Peak:
    """The largest `resident()` while the block runs."""

    def __enter__(self) -> "Peak":
        self.largest, self._stop = resident(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.largest = max(self.largest, resident())


def write(preset: str, folder: Path, formats: list[str]) -> None:
    from mae.checkpoints.save import save_checkpoint

    model = build(preset)
    for format in formats:
        save_checkpoint(model, folder / FORMATS[format], format)


def load(preset: str, path: Path) -> None:
    """Prints what was measured as JSON."""
    from mae.checkpoints.load import load_checkpoint

    before = resident()
    model = build(preset)
    with Peak() as peak:
        start = time.perf_counter()
        load_checkpoint(path, model)
        seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "bytes": peak.largest - before, "model": 4 * model.count_params()}))


def in_process(*arguments: str) -> str:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def main(preset: str, formats: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        for format in formats:
            folder = Path(name) / format
            folder.mkdir()
            in_process("--write", preset, str(folder), format)
            path = folder / FORMATS[format]
            read_bytes(path)
            size, reading = read_bytes(path)
            made = json.loads(in_process("--load", preset, str(path)).splitlines()[-1])
            memory = made["bytes"] / (size + made["model"])
            print(
                f"{preset} {format:<11} {size / 1e9:.2f} GB: read {reading:.2f} s, load {made['seconds']:.2f} s "
                f"({made['seconds'] / reading:.2f}×), peak {memory:.2f} × (file + model)",
                flush=True,
            )
            for file in files_of(path):
                file.unlink()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    match sys.argv[1:]:
        case ["--write", preset, folder, *formats]:
            write(preset, Path(folder), formats)
        case ["--load", preset, path]:
            load(preset, Path(path))
        case arguments:
            main(arguments[0] if arguments else "vit_large", arguments[1:] or list(FORMATS))
