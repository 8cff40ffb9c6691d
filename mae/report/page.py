"""The page: what is shown of one run, or of several beside each other."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mae.data.videos.thumbnails import middle_frame, picture_of
from mae.evaluation.tasks.regression import predicted
from mae.monitoring.console import format_duration
from mae.monitoring.pages.write import check_libraries, write_html
from mae.options import MULTILABEL, REGRESSION
from mae.report import curves
from mae.report.confused import Pair, worst_pairs
from mae.report.neighbours import nearest, on_a_map
from mae.report.run_files import RunFiles

MOST_PICTURES = 4  # of the course of one run
MOST_BAD = 50  # videos that are listed
MOST_BARS = 60  # classes
TEMPLATE = Path(__file__).parent / "template.html"
PACKAGES = {"jinja2": "jinja2", "matplotlib": "matplotlib"}  # module and package


def write_page(runs: Sequence[RunFiles], output: Path) -> None:
    """Writes one HTML file that needs nothing beside it; the whole file or nothing.

    Raises:
        ConfigError: a library is missing, or a file of a run is damaged.
    """
    check_libraries(PACKAGES)
    write_html(TEMPLATE, page_content(runs), output)


def page_content(runs: Sequence[RunFiles]) -> dict[str, Any]:
    """What the template is filled with."""
    names = _distinct_names(runs)
    named = list(zip(names, runs, strict=True))
    records = {name: run.records for name, run in named}
    titled = runs[0].name if len(runs) == 1 else f"{len(runs)} runs: {', '.join(names)}"
    content: dict[str, Any] = {
        "title": titled,
        "subtitle": _subtitle(runs),
        "runs": [_Run(name, run) for name, run in named],
        "figures": _figures(runs),
        "curves": curves.curves(records, curves.PANELS),
        "times": [*curves.curves(records, curves.TIMES), *curves.time_of_steps(records)],
        "others": curves.curves(records, curves.other_panels(records)),
        "reconstructions": _reconstructions(names, runs),
        "looks": [_look(name, run, i) for i, (name, run) in enumerate(named) if run.looked_at is not None],
        "probes": [(name, _probe_rows(run)) for name, run in named if run.probe],
        "tests": [_test(name, run, i) for i, (name, run) in enumerate(named) if run.test],
        "differing": _differing(runs),
        "most_bad": MOST_BAD,
    }
    return content | {"sections": [_Section(*one) for one in _SECTIONS if one[0] in _ALWAYS or content[one[2]]]}


# Anchor, title, and what of the content has to be there.
_SECTIONS = (
    ("figures", "Figures", "figures"),
    ("curves", "Learning curves", "curves"),
    ("time", "Time", "times"),
    ("others", "Other records", "others"),
    ("reconstructions", "Reconstructions", "reconstructions"),
    ("features", "Features", "looks"),
    ("probes", "Probes", "probes"),
    ("test", "Test", "tests"),
    ("settings", "Settings", "runs"),
)
_ALWAYS = ("figures", "settings")


@dataclass(frozen=True)
class _Section:
    id: str
    title: str
    content: str


class _Run:
    """A run under the name it has on the page."""

    def __init__(self, name: str, files: RunFiles) -> None:
        self.name = name
        self.config = files.config
        self.config_changes = files.config_changes
        self.commands = files.commands
        self.versions = files.versions
        self.bad_videos = files.bad_videos


@dataclass(frozen=True)
class Shown:
    """A picture with what stands below it; None for one that cannot be read."""

    picture: str | None
    caption: str
    video: str = ""


def _distinct_names(runs: Sequence[RunFiles]) -> list[str]:
    """Of the directories; with the one above where two are the same, and numbered where that does not help."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = ["/".join(run.path.resolve().parts[-2:]) for run in runs]
    if len(set(names)) < len(names):
        names = [f"{name} ({number + 1})" for number, name in enumerate(names)]
    return names


def _subtitle(runs: Sequence[RunFiles]) -> str:
    made = time.strftime("%Y-%m-%d %H:%M")
    if len(runs) > 1:
        return f"compared on {made}"
    return f"{runs[0].kind} in {runs[0].path.resolve()}, written on {made}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _whole_percent(value: float) -> str:
    return f"{100 * value:.0f} %"


_loss = "{:.4f}".format
_number = "{:.4g}".format

# What of the last record that has it is told, in this order.
_TOLD: dict[str, tuple[str, Callable[[Any], str]]] = {
    "step": ("steps", str),
    "epoch": ("epochs", lambda v: f"{v:.2f}"),
    "loss": ("training loss", _loss),
    "fixed_batch_loss": ("loss of the fixed batch", _loss),
    "fixed_batch_loss_moving": ("… over patches that move", _loss),
    "fixed_batch_loss_still": ("… over patches that stand still", _loss),
    "trivial_loss": ("loss of who always says the average", _loss),
    "psnr": ("PSNR of the fixed batch", "{:.2f} dB".format),
    "probe_top1": ("k-NN top-1 of frozen features", _percent),
    "probe_attentive_top1": ("attentive top-1 of frozen features", _percent),
    "probe_order": ("clips told from the same in another order", _percent),
    "feature_rank": ("rank of the features", lambda v: f"{v:.1f}"),
    "val_loss": ("validation loss", _loss),
    "val_top1": ("validation top-1", _percent),
    "val_top5": ("validation top-5", _percent),
    "val_mAP": ("validation mAP", _percent),
    "val_macro_f1": ("validation macro-F1", _percent),
    "val_auroc": ("validation AUROC", _percent),
    "val_mae": ("validation MAE", _number),
    "val_rmse": ("validation RMSE", _number),
    "val_r2": ("validation R²", _number),
    "val_pearson": ("validation Pearson", _number),
    "clips_per_second": ("clips a second, at the end", lambda v: f"{v:.3g}"),
    "data_wait_fraction": ("share of time waiting for clips, at the end", _whole_percent),
    "model_flops_share": ("share of the device's measured rate, at the end", _whole_percent),
    "bad_clips": ("unreadable clips", str),
    "short_clips": ("clips of videos that are too short", str),
    "skipped_steps": ("skipped steps", str),
}
# Likewise of `test.json`.
_TESTED: dict[str, tuple[str, Callable[[Any], str]]] = {
    "top1": ("test top-1", _percent),
    "top5": ("test top-5", _percent),
    "mean_class_accuracy": ("test mean over classes", _percent),
    "balanced_accuracy": ("test balanced accuracy", _percent),
    "mAP": ("test mAP", _percent),
    "macro_f1": ("test macro-F1", _percent),
    "auroc": ("test AUROC", _percent),
    "mae": ("test MAE", _number),
    "rmse": ("test RMSE", _number),
    "r2": ("test R²", _number),
    "pearson": ("test Pearson", _number),
}
_NOTHING = "–"


def _figures(runs: Sequence[RunFiles]) -> list[tuple[str, list[str]]]:
    """Rows of name and a value for each run; those that no run has are left out."""
    rows = [("kind", [run.kind for run in runs])]
    for field, (name, text) in _TOLD.items():
        values = [next((r[field] for r in reversed(run.records) if r.get(field) is not None), None) for run in runs]
        rows.append((name, [_NOTHING if value is None else text(value) for value in values]))
    rows.append(("time of the logged steps", [_training_time(run) for run in runs]))
    for key, (name, text) in _TESTED.items():
        values = [run.test.get(key) for run in runs]
        rows.append((name, [_NOTHING if value is None else text(value) for value in values]))
    tested = [run.test["videos"] if run.test else None for run in runs]
    rows.append(("test videos", [f"{t['evaluated']} of {t['listed']}" if t else _NOTHING for t in tested]))
    return [(name, values) for name, values in rows if any(value != _NOTHING for value in values)]


def _training_time(run: RunFiles) -> str:
    """Steps times what they took; the looks between them are not in it."""
    seconds, before = 0.0, 0
    for record in run.records:
        if record.get("step_ms") is not None:
            seconds += (record["step"] - before) * record["step_ms"] / 1000
            before = record["step"]
    return format_duration(seconds) if seconds else _NOTHING


def _reconstructions(names: Sequence[str], runs: Sequence[RunFiles]) -> list[Shown]:
    """The course of one run, or the last picture of each of several."""
    if len(runs) > 1:
        last = [(name, run.reconstructions[-1]) for name, run in zip(names, runs, strict=True) if run.reconstructions]
        return [Shown(picture_of(path), f"{name}, step {step}") for name, (step, path) in last]
    found = runs[0].reconstructions
    count = min(len(found), MOST_PICTURES)
    picked = sorted({round(i * (len(found) - 1) / max(count - 1, 1)) for i in range(count)})
    return [Shown(picture_of(path), f"step {step}") for step, path in (found[i] for i in picked)]


def _look(name: str, run: RunFiles, number: int) -> dict[str, Any]:
    """Neighbours as pictures, and the map; `number`: of the run on the page."""
    looked_at = run.looked_at
    assert looked_at is not None

    def shown(index: int, caption: str) -> Shown:
        video = looked_at.videos[index]
        label = looked_at.label_of(index)
        return Shown(middle_frame(video, run.decoding), " · ".join(part for part in (label, caption) if part), video)

    rows = []
    for query, others in nearest(looked_at):
        row = [(shown(query, ""), "query")]
        for other in others:
            kind = {None: "", True: "same", False: "other"}[other.has_same_label]
            row.append((shown(other.index, f"{other.similarity:.2f}"), kind))
        rows.append(row)
    points, how = on_a_map(looked_at.features)
    labels = [looked_at.label_of(index) or "clips" for index in range(len(points))]
    title = f"{len(points)} clips by {how}" + (", coloured by class" if looked_at.labels is not None else "")
    when = "" if looked_at.step is None else f" after {looked_at.step} steps"
    return {
        "run": name,
        "when": when,
        "has_labels": looked_at.labels is not None,
        "neighbours": rows,
        "map": curves.scatter(points, labels, title, number),
    }


def _probe_rows(run: RunFiles) -> list[list[str]]:
    rows = [
        [kind, _percent(each["top1"]), _percent(each["top5"]), _percent(each["mean_class_accuracy"])]
        for kind, each in run.probe["probes"].items()
    ]
    chance = run.probe.get("top1_of_one_class")
    return rows if chance is None else [*rows, ["always the most frequent class", _percent(chance), _NOTHING, _NOTHING]]


def _test(name: str, run: RunFiles, number: int) -> dict[str, Any]:
    if run.test.get("task") == REGRESSION:
        return {"run": name, "per_class": _numbers(run, number), "confusion": None, "pairs": []}
    if run.test.get("task") == MULTILABEL:
        each = {label: figures["average_precision"] for label, figures in run.test["per_label"].items()}
        return {
            "run": name,
            "per_class": _bars(each, "Average precision", "label", number),
            "confusion": None,
            "pairs": [],
        }
    confusion = run.path / "confusion.png"
    return {
        "run": name,
        "per_class": _bars(run.test["per_class"], "Top-1", "class", number),
        "confusion": picture_of(confusion) if confusion.is_file() else None,
        "pairs": [(pair, _frames_of(pair, run)) for pair in worst_pairs(run.predictions)],
    }


def _bars(of_each: Mapping[str, float | None], what: str, of_what: str, number: int) -> str:
    """A share of each class or label, or of the best and the worst of many."""
    shares = {name: share for name, share in of_each.items() if share is not None}
    ordered = sorted(shares, key=lambda name: -shares[name])
    half = MOST_BARS // 2
    listed = ordered if len(ordered) <= MOST_BARS else [*ordered[:half], *ordered[-half:]]
    plural = f"{of_what}es" if of_what.endswith("s") else f"{of_what}s"
    title = f"{what} of each {of_what}, %" if listed is ordered else f"{what} of the {half} best and worst {plural}, %"
    return curves.bars(listed, [100 * shares[name] for name in listed], title, number)


def _numbers(run: RunFiles, number: int) -> str:
    """What was said over what is true, for each number."""
    done = [row for row in run.predictions if row["status"] == "ok"]
    pairs = {
        name: np.array([(float(row[name]), float(row[predicted(name)])) for row in done]).reshape(-1, 2)
        for name in run.test["per_number"]
    }
    return "".join(curves.said_over_true(points, name, number, i) for i, (name, points) in enumerate(pairs.items()))


def _frames_of(pair: Pair, run: RunFiles) -> list[Shown]:
    return [Shown(middle_frame(video, run.decoding), Path(video).name, video) for video in pair.videos]


def _differing(runs: Sequence[RunFiles]) -> list[tuple[str, list[Any]]]:
    """Settings that not all of the runs were told alike."""
    configs: list[Mapping[str, Any]] = [run.config for run in runs]
    keys = list(dict.fromkeys(key for config in configs for key in config))
    rows = [(key, [config.get(key, _NOTHING) for config in configs]) for key in keys]
    return [(key, values) for key, values in rows if any(value != values[0] for value in values)]
