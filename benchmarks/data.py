"""How fast clips for training are made: `python benchmarks/data.py [--video FILE] [--rounds 5] [--json result.json]`.

A clip is 16 frames, 4 apart, from a random start, cropped at random (multi-scale) to 224×224 uint8 RGB. Who makes it:
this project from a packed video (`mae.data.pack`), from the video itself by either decoder (`data.decoder`), from a
copy that `mae.data.scan` has seen, and four clips at a time of one decoding pass; PyAV alone, and decord where it is
installed, with this project's crop. All get the same starts and boxes, open the file anew for each visit, and run on
one thread. They take turns within one process that is pinned to one core; the median of the rounds counts, by the clock
(ms) and by the core's own time (CPU ms, which other programs do not lengthen). Memory is that of a process of its own
each: all at the peak, and the part beyond what imports take. At last, batches of the training pipeline on one core and
on two. Without `--video`, a texture that moves is encoded first.
"""

import argparse
import importlib.util
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from results import write_result

FRAMES, STRIDE, SIZE = 16, 4, 224
SEED = 0
BATCH = 8  # clips
# In a round.
VISITS = {
    "packed (ours)": 40,
    "video (ours)": 6,
    "… by OpenCV": 6,
    "scanned (ours)": 6,
    "×4 a visit (ours)": 3,
    "×4 … by OpenCV": 3,
    "decord": 6,
    "PyAV": 6,
}
PIPELINE = {"packed": 40, "video": 8, "video, by OpenCV": 8}  # batches on one core that its rate is told from
NEEDED = {"decord": "decord", "PyAV": "av"}  # the module of the contestants that are not ours

Visit = Callable[[int], int]  # from the number of a visit to how many clips it made


def reader_of(path: str, clips: int = 1, videos: int = 1, decoder: str = "pyav"):
    """This project's reader of a data set that holds one file `videos` times."""
    from mae.data.augment import CENTER
    from mae.data.clips import ClipReader, ClipSpec
    from mae.data.lists.index import single_video
    from mae.data.videos.decoding import Decoding

    index = single_video(path)
    spec = ClipSpec(
        FRAMES, STRIDE, SIZE, replace(CENTER, crop="multi_scale"), clips_per_video=clips, decoding=Decoding(decoder)
    )
    return ClipReader(replace(index, paths=index.paths * videos), spec, SEED)


def ours(path: str, clips: int = 1, decoder: str = "pyav") -> Visit:
    reader = reader_of(path, clips, decoder=decoder)
    return lambda visit: len(reader.training_clips(visit, 0)[0])


def theirs(read: Callable[[Callable[[int], np.ndarray]], np.ndarray]) -> Visit:
    """`read` is given the choice of frames by their count, and gives them as (16, H, W, 3) RGB."""
    from mae.data.extras import clip_counters
    from mae.data.sampling import SAMPLERS
    from mae.data.transforms.crops import crop_frame, crop_of_box, multi_scale_crop_box
    from mae.seeds import generator

    def visit(number: int) -> int:
        counters = clip_counters(number, 0, 0)
        starts = generator(SEED, "clip start", *counters)
        frames = read(lambda count: SAMPLERS["dense_stride"](count, FRAMES, STRIDE, starts, "repeat_last"))
        box = multi_scale_crop_box(*frames[0].shape[:2], generator(SEED, "crop", *counters))
        clip = np.stack([crop_frame(frame, crop_of_box(box, (SIZE, SIZE))) for frame in frames])
        assert clip.shape == (FRAMES, SIZE, SIZE, 3)
        return 1

    return visit


def with_decord(path: str) -> Visit:
    import decord

    def read(choose):
        video = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
        return video.get_batch(choose(len(video))).asnumpy()

    return theirs(read)


def with_pyav(path: str) -> Visit:
    import av

    def read(choose):
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            wanted = choose(stream.frames)
            kept = {}
            for number, frame in enumerate(container.decode(stream)):
                if number in wanted:
                    kept[number] = frame.to_ndarray(format="rgb24")
                if number == wanted[-1]:
                    break
            return [kept[number] for number in wanted]

    return theirs(read)


def contestant(name: str, video: str, packed: str) -> Visit:
    cv2.setNumThreads(0)
    match name:
        case "packed (ours)":
            return ours(packed)
        case "video (ours)":
            return ours(video)
        case "… by OpenCV":
            return ours(video, decoder="opencv")
        case "scanned (ours)":
            return ours(scanned_copy(packed))
        case "×4 a visit (ours)":
            return ours(video, clips=4)
        case "×4 … by OpenCV":
            return ours(video, clips=4, decoder="opencv")
        case "decord":
            return with_decord(video)
        case _:
            return with_pyav(video)


def scanned_copy(packed: str) -> str:
    """The video that was scanned lies beside the packed one."""
    return str(Path(packed).with_name("scanned"))


def clip_times(video: str, packed: str, names: list[str], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds per clip in each round: by the clock, and of the core."""
    visits = {name: contestant(name, video, packed) for name in names}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for round_ in range(rounds + 1):
        for name, visit in visits.items():
            first = round_ * VISITS[name]
            start, start_cpu = time.perf_counter(), time.process_time()
            clips = sum(visit(number) for number in range(first, first + VISITS[name]))
            spent = (time.perf_counter() - start) / clips, (time.process_time() - start_cpu) / clips
            if round_:  # the first one warms up
                times[name].append(spent)
    return times


def peak_memory(video: str, packed: str, name: str) -> tuple[float, float]:
    """Bytes of this process at most after some visits, and how many more that is than before the first one."""
    visit = contestant(name, video, packed)
    if module := NEEDED.get(name):
        importlib.import_module(module)
    before = memory("VmRSS")
    for number in range(6):
        visit(number)
    peak = memory("VmHWM")
    return peak, peak - before


def memory(which: str) -> int:
    """Bytes: VmRSS now, VmHWM at the most. (`ru_maxrss` would count the parent process, too.)"""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(which)]
    return 1024 * int(line.split()[1])


def pipeline_rate(path: str, decoder: str, workers: int, steps: int) -> float:
    """Clips per second of the training pipeline, up to where an engine would take the batches over."""
    from mae.data.bad_videos import BadVideos
    from mae.data.one_ahead import one_ahead
    from mae.data.pipeline import Portion, training_batches

    reader = reader_of(path, videos=BATCH, decoder=decoder)
    bad_videos = BadVideos(None, BATCH, 0.0)
    batches = training_batches(
        reader, {}, bad_videos, Portion(BATCH, range(steps + 2)), seed=SEED, workers=workers, prefetch=1,
    )  # fmt: skip
    each = one_ahead(batches, lambda batch: batch)
    next(each), next(each)  # the first batches are slower, the second one was partly made before the clock starts
    start = time.perf_counter()
    made = sum(len(batch["videos"]) for batch in each)
    seconds = time.perf_counter() - start
    bad_videos.raise_if_too_many()
    return made / seconds


def make_video(path: Path) -> None:
    """280 frames of 340×256: a texture that turns and grows under the grain of a camera."""
    rng = np.random.default_rng(0)
    octaves = [
        cv2.resize(rng.uniform(-1, 1, (n, n, 3)), (600, 600), interpolation=cv2.INTER_CUBIC) for n in (6, 24, 96)
    ]
    texture = np.clip(128 + 60 * octaves[0] + 45 * octaves[1] + 30 * octaves[2], 0, 255).astype(np.uint8)
    pictures = []
    for number in range(280):
        turn = cv2.getRotationMatrix2D((300, 300), number, 1 + number / 600)
        turn[:, 2] += (170 - 300, 128 - 300)
        grain = rng.normal(0, 4, (256, 340, 1))
        picture = cv2.warpAffine(texture, turn, (340, 256), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        pictures.append(np.clip(picture + grain, 0, 255).astype(np.uint8))
    encode_h264(path, pictures)


def encode_h264(path: Path, pictures: list[np.ndarray]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "250", "crf": "21"})
        stream.width, stream.height, stream.pix_fmt = 340, 256, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())


def in_process(cores: int, *arguments: str):
    """What this file answers in a process of its own, pinned to the first so many cores."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, __file__, "--child", str(cores), *arguments]
    made = subprocess.run(command, env=environment, capture_output=True, text=True)
    if made.returncode:
        sys.exit(made.stderr)
    return json.loads(made.stdout.splitlines()[-1])


def child(cores: int, what: str, *arguments: str):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    if what == "times":
        video, packed, rounds, *names = arguments
        return clip_times(video, packed, names, int(rounds))
    if what == "memory":
        return peak_memory(*arguments)
    path, decoder, workers, steps = arguments
    return pipeline_rate(path, decoder, int(workers), int(steps))


def compare(video: str, packed: str, rounds: int) -> dict[str, dict[str, float]]:
    """Prints a row for each contestant, and returns the figures by the names of the columns."""
    missing = [name for name, module in NEEDED.items() if not importlib.util.find_spec(module)]
    names = [name for name in VISITS if name not in missing]
    times = in_process(1, "times", video, packed, str(rounds), *names)
    columns = ("clips/s", "ms/clip", "CPU ms", "× decord", "peak MB", "for clips")
    print(f"{'one core, one thread':<20}" + "".join(f"{column:>10}" for column in columns))
    figures = {}
    for name, spent in times.items():
        clock, cpu = (statistics.median(values) for values in zip(*spent, strict=True))
        # Of neighbours in time, so that what else the machine does weighs on both.
        faster = [other[0] / own[0] for other, own in zip(times.get("decord", ()), spent, strict=False)]
        peak, more = in_process(1, "memory", video, packed, name)
        values = [1 / clock, 1000 * clock, 1000 * cpu, statistics.median(faster) if faster else math.nan]
        figures[name] = dict(zip(columns, [*values, peak / 1e6, more / 1e6], strict=True))
        shown = "".join(f"{value:10.2f}" for value in values) + f"{peak / 1e6:10.0f}{more / 1e6:10.0f}"
        print(f"{name:<20}{shown.replace('nan', '   ')}", flush=True)
    if missing:
        print(f"left out, not installed: {', '.join(missing)}")
    return figures


def scaling(video: str, packed: str, rounds: int) -> dict[str, dict[str, float]]:
    """Prints what a second core brings to the training pipeline, and returns the figures likewise."""
    if len(os.sched_getaffinity(0)) < 2:
        print("one core against two: left out, there is one core here")
        return {}
    figures = {}
    print(f"{'training pipeline':<20} {'1 core':>8} {'2 cores':>8} {'ratio':>7}   clips/s")
    for name, steps in PIPELINE.items():
        path = packed if name == "packed" else video
        decoder = "opencv" if name.endswith("OpenCV") else "pyav"
        rates: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(rounds):
            for cores, values in rates.items():
                values.append(in_process(cores, "pipeline", path, decoder, str(cores), str(cores * steps)))
        one, two = (statistics.median(values) for values in rates.values())
        figures[name] = {"1 core": one, "2 cores": two, "ratio": two / one}
        print(f"{name:<20} {one:8.1f} {two:8.1f} {two / one:7.2f}", flush=True)
    return figures


def main(video: Path | None, rounds: int) -> dict[str, Any]:
    """Prints all figures, and returns them."""
    from mae.data.pack.write import Pictures, write_packed

    with tempfile.TemporaryDirectory() as name:
        if video is None:
            video = Path(name) / "texture.mp4"
            make_video(video)
        packed = Path(name) / "packed.zip"
        scanned = scanned_copy(str(packed))
        shutil.copy(video, scanned)
        os.environ["XDG_CACHE_HOME"] = name  # what the scan finds is for this run only
        scan = [sys.executable, "-m", "mae.data.scan", scanned, f"output={name}"]
        subprocess.run(scan, cwd=Path(__file__).parents[1], check=True, capture_output=True)
        done = write_packed(str(video), packed, Pictures(256, 90))
        print(f"{video.name}: {done.frames} frames, {done.bytes_in / 1e6:.2f} MB, packed {done.bytes_out / 1e6:.2f} MB")
        print(f"clips of {FRAMES} frames, {STRIDE} apart, {SIZE}×{SIZE}; median of {rounds} rounds")
        clips = compare(str(video), str(packed), rounds)
        pipeline = scaling(str(video), str(packed), min(rounds, 3))
        sizes = {"video MB": done.bytes_in / 1e6, "packed MB": done.bytes_out / 1e6}
        return {"clips": clips, "pipeline": pipeline, **sizes}


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--video", type=Path, help="default: one is made, 340×256 H.264 with 280 frames")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="a file for the figures")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    match sys.argv[1:]:
        case ["--child", cores, *arguments]:
            print(json.dumps(child(int(cores), *arguments)))
        case words:
            given = parse(words)
            measured = main(given.video, given.rounds)
            if given.json:
                write_result(given.json, words, measured)
