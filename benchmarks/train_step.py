"""How long one training step takes and how much memory, beside the same step elsewhere:
`python benchmarks/train_step.py [--precision bfloat16] [--peer]`.

A worker process makes the project's own pre-training step (forward, backward, AdamW update) on synthetic clips. With
`--peer` a second one makes the same step of transformers' VideoMAE on PyTorch (benchmarks/peer_step.py), and the two
take turns step by step, each with all cores, so that whatever else the machine does slows both. Peak memory is the
largest resident size of the worker over what it had after its imports. The matmul rate is that of a large square
product in the same process and dtype, measured after the steps.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measures import SIDE, best_of, flops_per_clip, peak_resident, resident


def synthetic_batch(a: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Clips and masks as `mae.data.pipeline` gives them."""
    import numpy as np

    from mae.masking import tube_mask

    rng = np.random.default_rng(0)
    shape = (options.clips, a.num_frames, a.image_size, a.image_size, a.in_channels)
    batch = {
        "videos": rng.integers(0, 256, shape, "uint8"),
        "is_masked": tube_mask(a.grid, options.mask_ratio, options.clips, seed=0),
        "valid": np.ones(options.clips, "float32"),
        "short": np.zeros(options.clips, "float32"),
        "decode_ms": np.zeros(options.clips, "float32"),
    }
    if options.decoder_mask_ratio:
        from mae.masking import running_cell_mask

        batch["is_decoder_masked"] = running_cell_mask(a.grid, options.decoder_mask_ratio, options.clips, seed=0)
    return batch


def our_step(options: argparse.Namespace) -> tuple[Callable[[], float], Callable[[], float], float]:
    """A function that makes a step and gives its loss, one that gives the matmul rate, and FLOPs per clip."""
    import tensorflow as tf

    from mae.engines.engine import StepSettings
    from mae.engines.start import build_optimizer
    from mae.engines.tensorflow.engine import start
    from mae.masking import num_masked, num_predicted
    from mae.models.pretrainer import build_pretrainer
    from mae.pretraining.step import pretraining_losses

    overrides: dict[str, Any] = {name: getattr(options, name) for name in ("attention", "lean", "remat")}
    overrides["num_frames"] = options.frames
    engine = start("single", deterministic=False, device="auto")
    with engine.scope():
        model = build_pretrainer(options.model, dtype=engine.dtype_policy(options.precision), **overrides)
        optimizer = build_optimizer(model, learning_rate=1e-4)
    a = model.architecture
    masked = num_masked("tube", a.grid, options.mask_ratio)
    predicted = num_predicted("tube", a.grid, options.mask_ratio, options.decoder_mask_ratio)
    losses_of = pretraining_losses(model, "videomae", masked, predicted if options.decoder_mask_ratio else None)
    step = engine.step(model, optimizer, losses_of, StepSettings(options.clips, options.accumulate, options.jit))
    batches = engine.distribute(itertools.repeat(synthetic_batch(a, options)), options.accumulate)

    def matmul_rate() -> float:
        x = tf.random.normal((SIDE, SIDE), dtype=tf.as_dtype(options.precision))
        product = tf.function(lambda: tf.reduce_sum(tf.cast((x @ x)[:1], tf.float32)))
        return 2 * SIDE**3 / best_of(5, lambda: float(product()))

    flops = flops_per_clip(a, a.num_tokens - masked, predicted[0])
    return lambda: float(step(next(batches))["loss"]), matmul_rate, flops


def work(whose: str, options: argparse.Namespace) -> None:
    """The worker: for each line on standard input it makes a step and prints the seconds; at the end it reports."""
    if whose == "peer":
        from peer_step import peer_step as make
    else:
        import tensorflow  # noqa: F401  # counts as import, not as memory of a step

        make = our_step
    before = resident()
    step, matmul_rate, flops = make(options)
    step()  # traced and compiled, slots made
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        loss = step()
        seconds = time.perf_counter() - start
        if not math.isfinite(loss):
            sys.exit(f"{whose}: the loss is {loss}")
        print(json.dumps(seconds), flush=True)
    peak = peak_resident() - before
    print(json.dumps({"peak": peak, "flops": flops, "rate": matmul_rate()}), flush=True)


class Worker:
    """A process that makes steps when told."""

    def __init__(self, name: str, words: list[str]) -> None:
        self.name = name
        self.times: list[float] = []
        command = [sys.executable, __file__, "--worker", name, *words]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._process = subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._answer()

    def step(self) -> None:
        assert self._process.stdin is not None
        print("step", file=self._process.stdin, flush=True)
        self.times.append(self._answer())

    def finish(self) -> dict[str, float]:
        """Bytes at the peak, FLOPs per clip and the matmul rate."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"the worker {self.name!r} ended with status {self._process.wait()}")
        return json.loads(line)


def main(options: argparse.Namespace, words: list[str]) -> None:
    workers = [Worker("ours", words)]
    if options.peer:
        workers.append(Worker("peer", words))
    for _ in range(options.rounds):
        for worker in workers:
            worker.step()
    reports = [worker.finish() for worker in workers]
    size = f"{options.model}, {options.clips} clips of {options.frames} frames"
    print(f"{size}, {options.precision}, {options.rounds} rounds")
    print(f"{'':<6} {'best s':>8} {'median s':>9} {'clips/s':>8} {'GFLOP/clip':>11} {'of matmul':>10} {'peak GB':>8}")
    for worker, report in zip(workers, reports, strict=True):
        median = statistics.median(worker.times)
        share = report["flops"] * options.clips / median / report["rate"]
        print(
            f"{worker.name:<6} {min(worker.times):8.2f} {median:9.2f} {options.clips / median:8.2f} "
            f"{report['flops'] / 1e9:11.1f} {share:10.0%} {report['peak'] / 1e9:8.2f}"
        )
    if options.peer:
        (ours, peer), (a, b) = workers, reports
        by_best = min(peer.times) / min(ours.times)
        by_median = statistics.median(peer.times) / statistics.median(ours.times)
        print(
            f"speed {by_median:.2f}× the peer's by medians, {by_best:.2f}× by best; memory {a['peak'] / b['peak']:.2f}×"
        )


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--model", default="vit_small", help="a preset")
    parser.add_argument("--clips", type=int, default=8, help="in a batch")
    parser.add_argument("--frames", type=int, default=16, help="in a clip")
    parser.add_argument("--mask-ratio", type=float, default=0.9)
    parser.add_argument("--decoder-mask-ratio", type=float, default=0.0, help="0, 0.25, 0.5 or 0.75; the peer has none")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--attention", choices=("chunked", "plain"), default="chunked")
    parser.add_argument("--lean", action=argparse.BooleanOptionalAction, default=True, help="or formulas as they stand")
    parser.add_argument("--remat", choices=("none", "blocks"), default="none")
    parser.add_argument("--accumulate", type=int, default=1, help="parts that the clips are computed in")
    parser.add_argument("--jit", action="store_true", help="compile with XLA")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peer", action="store_true", help="needs torch and transformers")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    match sys.argv[1:]:
        case ["--worker", whose, *words]:
            work(whose, parse(words))
        case words:
            main(parse(words), words)
