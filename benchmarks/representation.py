"""Whether pre-training pays, on a set where that can be seen in minutes: `python benchmarks/representation.py`.

Everything is a run of the project's own commands on `dataset=shapes_dark`, whose eight classes are motions: chance is
1/8, and a token of `model=vit_micro` holds one frame, so that none shows a motion by itself. A run uses one core;
as many of them go on side by side as there are cores. What is done stays in the folder, so that an interrupted
benchmark goes on where it was. At the end it prints the tables of docs/benchmarks.md.

- (a) probes of the frozen pre-trained encoder, trained on few labels, beside those of the encoder as it is initialised;
- (b) fine-tuning it on the same few labels, beside training from scratch with the same schedule;
- (c) masks and ratios, in shorter pre-training;
- and, to see that the set can be learnt at all, training from scratch on all labels, for as long as that takes.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PER_CLASS = 500  # videos to pre-train on, and labels when all are used
LABELS = 50  # of each class, where there are few
SEEDS = (0, 1, 2)
PRETRAINING_STEPS = 2000
ALL_LABELS = ("optimizer=muon", "batch_size=16", "learning_rate=1.6e-2", "warmup_steps=100", "steps=4500")
MASK_STEPS = 800  # of pre-training with each mask
MASKS = (("tube", 0.5), ("tube", 0.75), ("tube", 0.9), ("random", 0.75), ("random", 0.9))
KINDS = ("attentive", "linear", "knn")


@dataclass(frozen=True)
class Run:
    """One command, whose result is a file in its run directory."""

    name: str  # of the directory
    command: str  # pretrain.py | finetune.py
    settings: tuple[str, ...]
    result: str  # file that is there when the run is complete


def pretraining(name: str, seed: int, steps: int, *more: str) -> Run:
    settings = (f"seed={seed}", f"steps={steps}", *more)
    return Run(f"{name}-{seed}", "pretrain.py", settings, f"checkpoints/step_{steps:08d}.npz")


def probe(name: str, encoder: str, seed: int) -> Run:
    settings = ("mode=probe", f"init_from={encoder}", f"seed={seed}", f"probe.labels_per_class={LABELS}")
    return Run(f"probe-{name}-{seed}", "finetune.py", settings, "probe.json")


def classifier(name: str, encoder: str | None, seed: int, *more: str, labels: int = LABELS) -> Run:
    """Fine-tuning, or training from scratch; then without layer decay, which would only slow down early layers."""
    start = ("optimizer.layer_decay=null",) if encoder is None else (f"init_from={encoder}",)
    settings = (*more, f"seed={seed}", f"dataset.videos_per_class={labels}", *start)
    return Run(f"{name}-{seed}", "finetune.py", settings, "test.json")


def chains(folder: Path) -> list[list[Run]]:
    """Runs that follow each other; the longest first, so that the cores are done at about the same time."""
    made = [[classifier("scratch-all", None, 0, *ALL_LABELS, labels=PER_CLASS)]]
    for seed in SEEDS:
        first = pretraining("pretrained", seed, PRETRAINING_STEPS)
        encoder = str(folder / first.name)
        made.append([first, probe("pretrained", encoder, seed), classifier("finetuned", encoder, seed)])
    for masking, ratio in MASKS:
        mask = f"{masking}-{ratio}"
        first = pretraining(mask, 0, MASK_STEPS, f"masking={masking}", f"mask_ratio={ratio}")
        made.append([first, probe(mask, str(folder / first.name), 0)])
    made += [[probe("initial", "random", seed), classifier("scratch", None, seed)] for seed in SEEDS]
    return made


def execute(run: Run, folder: Path) -> float:
    """Seconds the run took; 0 where its result is there already."""
    place = folder / run.name
    if (place / run.result).exists():
        return 0.0
    place.mkdir(parents=True, exist_ok=True)
    fixed = ("dataset=shapes_dark", f"run_dir={place}", "data.workers=1", "wandb.mode=disabled")
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    start = time.perf_counter()
    with (folder / f"{run.name}.log").open("w") as log:
        command = [sys.executable, str(ROOT / run.command), *fixed, *run.settings]
        status = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log).returncode
    if status:
        raise SystemExit(f"{run.name} ended with status {status}: see {folder / run.name}.log")
    return time.perf_counter() - start


def execute_chain(chain: list[Run], folder: Path) -> None:
    for run in chain:
        seconds = execute(run, folder)
        print(f"{run.name}: {f'{seconds:.0f} s' if seconds else 'found'}", flush=True)


def top1(folder: Path, name: str, seeds: tuple[int, ...], kind: str | None = None) -> list[float]:
    """Per cent, of each seed: of a probe of this kind, or of a test."""
    if kind is None:
        return [100 * json.loads((folder / f"{name}-{seed}" / "test.json").read_text())["top1"] for seed in seeds]
    reports = [json.loads((folder / f"probe-{name}-{seed}" / "probe.json").read_text()) for seed in seeds]
    return [100 * report["probes"][kind]["top1"] for report in reports]


def cell(values: list[float]) -> str:
    """Mean ± standard deviation, or the value where there is one."""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def tables(folder: Path) -> str:
    lines = [
        f"| top-1 %, {LABELS} labels a class | attentive probe | linear | k-NN | whole model |",
        "|---|---|---|---|---|",
    ]
    few = {}
    for label, probed, trained in (
        ("pre-trained", "pretrained", "finetuned"),
        ("not pre-trained", "initial", "scratch"),
    ):
        few[label] = [*(top1(folder, probed, SEEDS, kind) for kind in KINDS), top1(folder, trained, SEEDS)]
        lines.append(f"| {label} | {' | '.join(map(cell, few[label]))} |")
    attentive, *_, whole = (statistics.mean(yes) - statistics.mean(no) for yes, no in zip(*few.values(), strict=True))
    whole_set = cell(top1(folder, "scratch-all", (0,)))
    lines += [
        "",
        f"Attentive probe: {attentive:+.1f} points. Whole model: {whole:+.1f} points. Chance: 12.5.",
        f"From scratch on all {PER_CLASS} labels a class, longer: {whole_set}.",
        "",
        f"| top-1 %, mask of {MASK_STEPS} steps | attentive probe | linear | k-NN |",
        "|---|---|---|---|",
    ]
    for masking, ratio in MASKS:
        cells = [top1(folder, f"{masking}-{ratio}", (0,), kind) for kind in KINDS]
        lines.append(f"| {masking} {ratio} | {' | '.join(map(cell, cells))} |")
    return "\n".join(lines)


def main(options: argparse.Namespace) -> None:
    folder = options.folder.resolve()
    start = time.perf_counter()
    with ThreadPoolExecutor(options.processes) as pool:
        futures = [pool.submit(execute_chain, chain, folder) for chain in chains(folder)]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    minutes = [(time.perf_counter() - start) / 60, (used.ru_utime + used.ru_stime) / 60]
    print(f"\n{tables(folder)}\n\n{minutes[0]:.1f} minutes, {minutes[1]:.1f} minutes of computing")


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Whether pre-training pays, on a set where that is seen in minutes.")
    parser.add_argument("--folder", type=Path, default=Path("outputs/representation"), help="where the runs are kept")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="runs side by side, each on one core")
    return parser.parse_args(words)


if __name__ == "__main__":
    main(parse(sys.argv[1:]))
