"""Packed videos in one file each and in shards: `python benchmarks/packed_shards.py [--rounds 3] [--json result.json]`.

100,000 small packed videos (32 frames of 64×48), and 60 of the usual size (280 frames of 340×256), are kept in three
ways: a zip each, shards of 1000 (`videos_per_file=1000`; of the usual size 20), and ArrayRecord files of as many
records, a packed video each. Told are files, bytes, and what the disk takes; start-up, from a list to what training
knows of its files, and for ArrayRecord until its files are open; clips of 16 frames, 2 apart, of random videos, read
and decoded by one thread on one core; and megabytes read from files for a clip. Every number is the median of rounds
that take turns, each in a process of its own. The system has the files in memory, so there is no slow disk in this, and
time is the core's own, which other programs do not lengthen.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from results import write_result

FRAMES, STRIDE = 16, 2
KINDS = ("zip each", "shards", "ArrayRecord")
# Videos, frames of each, height, width, videos a file, clips in a round.
SETS = {"small": (100_000, 32, 48, 64, 1000, 4000), "usual": (60, 280, 256, 340, 20, 300)}
SEED = 0

Figures = dict[str, float]


def make_packed(place: Path, frames: int, height: int, width: int) -> Path:
    """A packed video of a texture that moves."""
    from mae.data.pack.write import Pictures, write_packed

    folder = place / "frames"
    folder.mkdir()
    coarse = np.random.default_rng(SEED).uniform(0, 255, (12, 12, 3))
    texture = cv2.resize(coarse, (2 * width, height), interpolation=cv2.INTER_CUBIC)
    for number in range(frames):
        picture = np.roll(texture, 3 * number, axis=1)[:, :width] + 20 * np.sin(np.arange(width) + number)[:, None]
        cv2.imwrite(str(folder / f"{number:06d}.png"), np.clip(picture, 0, 255).astype(np.uint8))
    write_packed(str(folder), place / "packed.zip", Pictures(256, 90))
    shutil.rmtree(folder)
    return place / "packed.zip"


def make_set(place: Path, packed: Path, videos: int, videos_per_file: int) -> None:
    """The three ways to keep copies of a packed video, each with its list."""
    from array_record.python.array_record_module import ArrayRecordWriter

    from mae.data.pack.shards import write_shard

    content = packed.read_bytes()
    names = [f"class {number % 100}/{number:06d}.mp4.zip" for number in range(videos)]
    for kind in KINDS:
        (place / kind).mkdir(parents=True)
    for name in names:
        path = place / "zip each" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    in_shards = []
    for number, first in enumerate(range(0, videos, videos_per_file)):
        some = names[first : first + videos_per_file]
        shard = f"shard-{number:05d}.zip"
        write_shard(place / "shards" / shard, {name: place / "zip each" / name for name in some})
        in_shards += [f"{shard}/{name}" for name in some]
        writer = ArrayRecordWriter(
            str(place / "ArrayRecord" / f"{number:05d}.array_record"), "group_size:1,uncompressed"
        )
        for _ in some:
            writer.write(content)
        writer.close()
    (place / "zip each.csv").write_text("".join(f'"zip each/{name}",0\n' for name in names))
    (place / "shards.csv").write_text("".join(f'"shards/{name}",0\n' for name in in_shards))


def room(folder: Path) -> Figures:
    """What a folder takes, the lists aside."""
    status = [path.stat() for path in folder.rglob("*") if path.is_file()]
    on_disk = sum(512 * entry.st_blocks for entry in status)
    return {"files": len(status), "GB": sum(entry.st_size for entry in status) / 1e9, "GB on disk": on_disk / 1e9}


def times(place: Path, kind: str, clips: int) -> Figures:
    """Start-up, and what it takes to read clips."""
    from grain.sources import ArrayRecordDataSource

    from mae.data.lists.index import check_files, index_csv

    started = time.process_time()
    if kind == "ArrayRecord":
        source = ArrayRecordDataSource([str(path) for path in sorted((place / kind).iterdir())])
        count = len(source)
        source[0]
    else:
        source = None
        index = index_csv(place / f"{kind}.csv", None)
        check_files(index, 0.0)
        count = len(index.paths)
    start_up = time.process_time() - started
    rng = np.random.default_rng(SEED)
    chosen = rng.integers(count, size=clips).tolist()
    read_before, started = bytes_read(), time.process_time()
    for video in chosen:
        if source is None:
            read_clip(index.paths[video], rng)
        else:
            read_record(source[video], rng)
    seconds = time.process_time() - started
    return {
        "start-up s": start_up,
        "clips/s": clips / seconds,
        "MB a clip": (bytes_read() - read_before) / clips / 1e6,
    }


def read_clip(path: str, rng: np.random.Generator) -> None:
    from mae.data.videos.read import read_frames

    def choose(count: int) -> np.ndarray:
        return rng.integers(count - FRAMES * STRIDE + 1) + STRIDE * np.arange(FRAMES)

    read = read_frames(path, choose, lambda _, frame: [frame])
    assert len(read.views) == FRAMES


def read_record(record: bytes, rng: np.random.Generator) -> None:
    """A clip of a packed video that is in memory as a whole."""
    file = os.memfd_create("record")
    try:
        os.write(file, record)
        read_clip(f"/proc/self/fd/{file}", rng)
    finally:
        os.close(file)


def bytes_read() -> int:
    """What this process has asked of files so far, be it in the system's memory or not."""
    return int(Path("/proc/self/io").read_text().split()[1])


def in_process(*arguments: str) -> Figures:
    """What this file answers in a process of its own, pinned to one core."""
    command = [sys.executable, __file__, "--child", *arguments]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        sys.exit(made.stderr)
    return json.loads(made.stdout.splitlines()[-1])


def child(place: str, kind: str, clips: str) -> Figures:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    cv2.setNumThreads(0)
    return times(Path(place), kind, int(clips))


def main(rounds: int, sets: dict[str, tuple[int, ...]] = SETS) -> dict[str, dict[str, Figures]]:
    """Prints all figures, and returns them by set and kind."""
    figures: dict[str, dict[str, Figures]] = {}
    for name, (videos, frames, height, width, videos_per_file, clips) in sets.items():
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            make_set(place, make_packed(place, frames, height, width), videos, videos_per_file)
            measured: dict[str, list[Figures]] = {kind: [] for kind in KINDS}
            for _ in range(rounds):
                for kind in KINDS:
                    measured[kind].append(in_process(folder, kind, str(clips)))
            figures[name] = {
                kind: room(place / kind) | {key: statistics.median(f[key] for f in found) for key in found[0]}
                for kind, found in measured.items()
            }
        print(f"{name}: {videos} videos of {frames} frames, {width}×{height}")
        for kind, found in figures[name].items():
            print(f"  {kind:<12}" + "".join(f"  {key} {value:.4g}" for key, value in found.items()), flush=True)
    return figures


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="a file for the figures")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    match sys.argv[1:]:
        case ["--child", *arguments]:
            print(json.dumps(child(*arguments)))
        case words:
            given = parse(words)
            measured = main(given.rounds)
            if given.json:
                write_result(given.json, words, measured)
