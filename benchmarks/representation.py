"""Whether pre-training pays, on sets where that can be seen in minutes: `python benchmarks/representation.py`.

Everything is a run of the project's own commands on data sets whose classes are motions: chance is 1/8, and a token of
`model=vit_micro` holds one frame, so that none shows a motion by itself. A run uses one core, and as many go on side by
side as there are cores. What is done stays in the folder, so that an interrupted benchmark goes on where it was. At
the end it prints a table for each data set and writes the figures to a file, from which `--show` prints them again.

- A row of a table is a way to pre-train: the settings that `dataset=` brings, and what `ROWS` or `--rows` changes.
- Its encoder is probed on few labels, frozen, beside the encoder as it is initialised;
- and fine-tuned on the same few labels, beside training from scratch with the same schedule.
- With `--all-labels`: training from scratch on all labels, for as long as it takes to see that a set can be learnt.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DATASETS = ("motion_camera", "motion_objects", "motion_order")  # the last one is looked at once settings are chosen
LABELS = 50  # of each class, where there are few
SEEDS = (0, 1, 2)
STEPS = 3500  # of pre-training, where a row does not set its own
ALL_LABELS = ("optimizer=muon", "batch_size=16", "learning_rate=1.6e-2", "warmup_steps=100", "steps=7500")
KINDS = ("attentive", "linear", "knn")
UNTRAINED, EVERY_LABEL = "not pre-trained", "from scratch on all labels"

PUBLISHED = ("target=videomae", "optimizer=adamw")

# Ways to pre-train: what each changes of `dataset=`. Settings of the clips and the encoder hold for its probes and
# fine-tuning, too, and then it has an untrained encoder of its own to be compared with.
ROWS: dict[str, tuple[str, ...]] = {
    "pre-trained": (),
    "published": (*PUBLISHED, "masking=tube", "mask_ratio=0.75"),
    "published pixels 0.9": ("target=pixels", "optimizer=adamw", "masking=tube", "mask_ratio=0.9"),
    "published 0.5": (*PUBLISHED, "masking=tube", "mask_ratio=0.5"),
    "published 0.9": (*PUBLISHED, "masking=tube", "mask_ratio=0.9"),
    "published random 0.75": (*PUBLISHED, "masking=random", "mask_ratio=0.75"),
    "published random 0.9": (*PUBLISHED, "masking=random", "mask_ratio=0.9"),
    "AdamW": ("optimizer=adamw",),
    "no pixels": ("target_pixels=0",),
    "tube": ("masking=tube",),
    "tube 0.75": ("masking=tube", "mask_ratio=0.75"),
    "frame": ("masking=frame",),
    "scaled by patch": ("target_scale=patch",),
    "weighted by motion": ("loss_weight=motion",),
    "motion hidden": ("mask_motion=hide",),
    "motion kept": ("mask_motion=keep",),
}


@dataclass(frozen=True)
class Plan:
    """What is run and compared."""

    folder: Path  # where the runs are kept
    datasets: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    steps: int
    finetuning: bool  # whether whole models are trained, too
    all_labels: bool


@dataclass(frozen=True)
class Run:
    """One command, whose result is a file in its run directory."""

    place: Path  # the run directory
    command: str  # pretrain.py | finetune.py
    settings: tuple[str, ...]
    result: str  # file that is there when the run is complete


def pretraining(place: Path, *settings: str, seed: int, steps: int) -> Run:
    own = [setting for setting in settings if setting.startswith("steps=")]
    steps = int(own[-1].removeprefix("steps=")) if own else steps
    rest = tuple(setting for setting in settings if setting not in own)
    return Run(place, "pretrain.py", (*rest, f"seed={seed}", f"steps={steps}"), f"checkpoints/step_{steps:08d}.npz")


def probe(place: Path, encoder: Path | None, *settings: str, seed: int) -> Run:
    start = f"init_from={'random' if encoder is None else encoder}"
    return Run(
        place,
        "finetune.py",
        (*settings, "mode=probe", start, f"seed={seed}", f"probe.labels_per_class={LABELS}"),
        "probe.json",
    )


def classifier(place: Path, encoder: Path | None, *settings: str, seed: int, labels: int | None = LABELS) -> Run:
    """Fine-tuning, or training from scratch; then without layer decay, which would only slow down early layers."""
    start = "optimizer.layer_decay=null" if encoder is None else f"init_from={encoder}"
    few = () if labels is None else (f"dataset.videos_per_class={labels}",)
    return Run(place, "finetune.py", (*settings, f"seed={seed}", *few, start), "test.json")


def of_the_encoder(settings: tuple[str, ...]) -> tuple[str, ...]:
    """Those that fine-tuning and probes have to be told as well."""
    return tuple(
        setting for setting in settings if setting.startswith(("model", "dataset.")) and "model.decoder" not in setting
    )


def untrained(plan: Plan, name: str) -> str:
    """The row that a row is compared with: one for all that change nothing about clips and encoder."""
    return f"{UNTRAINED}, as {name}" if of_the_encoder(plan.rows[name]) else UNTRAINED


def place_of(plan: Plan, dataset: str, what: str, name: str, seed: int) -> Path:
    slug = name.replace(",", "").replace(" ", "-")
    steps = "" if name.startswith(UNTRAINED) or name == EVERY_LABEL else f"-{plan.steps}"
    return plan.folder / dataset / f"{what}-{slug}{steps}-{seed}"


def chains(plan: Plan) -> list[list[Run]]:
    """Runs that follow each other; the longest first, so that the cores are done at about the same time."""
    made = []
    for dataset in plan.datasets if plan.all_labels else ():
        place = place_of(plan, dataset, "whole", EVERY_LABEL, 0)
        made.append([classifier(place, None, f"dataset={dataset}", *ALL_LABELS, seed=0, labels=None)])
    baselines = {}
    for dataset in plan.datasets:
        for name, settings in plan.rows.items():
            shared = (f"dataset={dataset}", *of_the_encoder(settings))
            for seed in plan.seeds:
                encoder = place_of(plan, dataset, "pretrain", name, seed)
                first = pretraining(encoder, f"dataset={dataset}", *settings, seed=seed, steps=plan.steps)
                made.append([first, *judges(plan, dataset, name, encoder, shared, seed)])
                baseline = untrained(plan, name)
                baselines[dataset, baseline, seed] = judges(plan, dataset, baseline, None, shared, seed)
    return made + list(baselines.values())


def judges(plan: Plan, dataset: str, name: str, encoder: Path | None, shared: tuple[str, ...], seed: int) -> list[Run]:
    """What tells how good an encoder is."""
    runs = [probe(place_of(plan, dataset, "probe", name, seed), encoder, *shared, seed=seed)]
    if plan.finetuning:
        runs.append(classifier(place_of(plan, dataset, "whole", name, seed), encoder, *shared, seed=seed))
    return runs


def execute(run: Run) -> float:
    """Seconds the run took; 0 where its result is there already.

    Raises:
        SystemExit: the command fails, or its place has the run of another one.
    """
    words = [run.command, *run.settings]
    told = run.place.with_name(f"{run.place.name}.json")
    before = json.loads(told.read_text()) if told.exists() else {"command": words}
    if before["command"] != words:
        raise SystemExit(
            f"{run.place} was made by {' '.join(before['command'])}, not by {' '.join(words)}: "
            "choose another --folder or another name for the row"
        )
    if (run.place / run.result).exists():
        return 0.0
    run.place.mkdir(parents=True, exist_ok=True)
    told.write_text(json.dumps(before))
    fixed = (f"run_dir={run.place}", "data.workers=1", "wandb.mode=disabled")
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    start = time.perf_counter()
    log_file = run.place.with_name(f"{run.place.name}.log")
    with log_file.open("w") as log:
        command = [sys.executable, str(ROOT / run.command), *run.settings, *fixed]
        process = subprocess.Popen(command, cwd=run.place.parent, env=environment, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"{run.place.name} ended with status {process.returncode}: see {log_file}")
    taken = {"seconds": time.perf_counter() - start, "cpu_seconds": used.ru_utime + used.ru_stime}
    summed = {key: before.get(key, 0.0) + value for key, value in taken.items()}
    told.write_text(json.dumps({"command": words, **summed}))
    return taken["seconds"]


def execute_chain(chain: list[Run]) -> None:
    for run in chain:
        seconds = execute(run)
        outcome = f"{seconds:.0f} s" if seconds else "found"
        print(f"{run.place.parent.name} {run.place.name}: {outcome}", flush=True)


def collect(plan: Plan) -> dict[str, Any]:
    """All figures, in per cent by seed, and how they were made."""
    return {
        "labels": LABELS,
        "steps": plan.steps,
        "seeds": list(plan.seeds),
        "minutes": minutes(plan, "seconds"),
        "cpu_minutes": minutes(plan, "cpu_seconds"),
        "versions": {name: version(name) for name in ("keras", "numpy", "tensorflow")},
        "rows": {name: list(settings) for name, settings in plan.rows.items()},
        "datasets": {dataset: figures_of(plan, dataset) for dataset in plan.datasets},
    }


def told_of(plan: Plan) -> list[Path]:
    return [run.place.with_name(f"{run.place.name}.json") for chain in chains(plan) for run in chain]


def minutes(plan: Plan, key: str) -> float:
    """Of all runs together."""
    return sum(json.loads(path.read_text()).get(key, 0.0) for path in told_of(plan)) / 60


def figures_of(plan: Plan, dataset: str) -> dict[str, dict[str, list[float]]]:
    """Of every row: by kind of probe, and `whole` for fine-tuning or training from scratch."""
    names = [*plan.rows, *dict.fromkeys(untrained(plan, name) for name in plan.rows)]
    rows: dict[str, dict[str, list[float]]] = {}
    for name in names:
        reports = [read(plan, dataset, "probe", name, seed) for seed in plan.seeds]
        rows[name] = {kind: [100 * report["probes"][kind]["top1"] for report in reports] for kind in KINDS}
        if plan.finetuning:
            rows[name]["whole"] = [100 * read(plan, dataset, "whole", name, seed)["top1"] for seed in plan.seeds]
    if plan.all_labels:
        rows[EVERY_LABEL] = {"whole": [100 * read(plan, dataset, "whole", EVERY_LABEL, 0)["top1"]]}
    return rows


def read(plan: Plan, dataset: str, what: str, name: str, seed: int) -> dict[str, Any]:
    file = "probe.json" if what == "probe" else "test.json"
    return json.loads((place_of(plan, dataset, what, name, seed) / file).read_text())


def cell(values: list[float] | None) -> str:
    """Mean ± standard deviation, or the value where there is one."""
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def gain(figures: dict[str, dict[str, list[float]]], name: str, kind: str) -> str:
    """Points over the same without pre-training."""
    baseline = figures.get(f"{UNTRAINED}, as {name}", figures.get(UNTRAINED, {}))
    if kind not in figures[name] or kind not in baseline or name.startswith((UNTRAINED, EVERY_LABEL)):
        return ""
    return f"{statistics.mean(figures[name][kind]) - statistics.mean(baseline[kind]):+.1f}"


def table(dataset: str, result: dict[str, Any]) -> str:
    """Markdown, one line a row; what pre-training brings beside the attentive probe and the whole model."""
    figures = result["datasets"][dataset]
    heading = f"{dataset}: top-1 %, {result['labels']} labels a class"
    lines = [
        f"| {heading} | attentive probe | gain | linear | k-NN | whole model | gain |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in figures.items():
        cells = [cell(row.get("attentive")), gain(figures, name, "attentive"), *(cell(row.get(k)) for k in KINDS[1:])]
        lines.append(f"| {' | '.join([name, *cells, cell(row.get('whole')), gain(figures, name, 'whole')])} |")
    return "\n".join(lines)


def main(options: argparse.Namespace) -> None:
    result = json.loads(options.show.read_text()) if options.show else measure(options)
    print("\n" + "\n\n".join(table(dataset, result) for dataset in result["datasets"]))
    print(f"\n{result['minutes']:.1f} minutes of runs on one core each, {result['cpu_minutes']:.1f} of its time")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    plan = planned(options)
    start = time.perf_counter()
    with ThreadPoolExecutor(options.processes) as pool:
        futures = [pool.submit(execute_chain, chain) for chain in chains(plan)]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    result = collect(plan)
    output = options.output or plan.folder / "result.json"
    output.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{(time.perf_counter() - start) / 60:.1f} minutes; figures in {output}")
    return result


def planned(options: argparse.Namespace) -> Plan:
    return Plan(
        folder=options.folder.resolve(),
        datasets=tuple(options.datasets),
        rows=dict(options.rows),
        seeds=tuple(options.seeds),
        steps=options.steps,
        finetuning=not options.probes_only,
        all_labels=options.all_labels,
    )


def row(text: str) -> tuple[str, tuple[str, ...]]:
    """A row of `ROWS` by its name, or a new one: `name: setting setting …`."""
    name, colon, settings = text.partition(":")
    if colon:
        return name, tuple(settings.split())
    if text not in ROWS:
        raise argparse.ArgumentTypeError(
            f"no row {text!r}; there are {', '.join(ROWS)}, or give 'name: setting setting'"
        )
    return text, ROWS[text]


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Whether pre-training pays, on sets where that is seen in minutes.")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), help="names that dataset= takes")
    parser.add_argument(
        "--rows", nargs="+", type=row, default=[row("pre-trained")], help="names of ROWS, or 'name: setting setting'"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--steps", type=int, default=STEPS, help="of pre-training")
    parser.add_argument("--probes-only", action="store_true", help="train no whole models")
    parser.add_argument("--all-labels", action="store_true", help="train from scratch on all labels, too")
    parser.add_argument("--folder", type=Path, default=Path("outputs/representation"), help="where the runs are kept")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="runs side by side, each on one core")
    parser.add_argument("--output", type=Path, help="file for the figures (default: result.json in the folder)")
    parser.add_argument("--show", type=Path, help="print the tables of such a file and run nothing")
    return parser.parse_args(words)


if __name__ == "__main__":
    main(parse(sys.argv[1:]))
