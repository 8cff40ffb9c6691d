"""Curves of the records of runs, as SVG that stands in a page."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Records = Sequence[Mapping[str, Any]]

SIZE = (5.6, 2.7)  # inches
COLOURS = ("#1f5fa8", "#d1671f", "#2f8f5b", "#a83a6b", "#7a5fb0", "#8a6d1f", "#3a9aa8", "#5c5c5c")
STYLES = ("-", "--", ":", "-.")
MOST_OTHERS = 12  # panels of fields that no panel below is for


@dataclass(frozen=True)
class Panel:
    """What is drawn on one pair of axes."""

    title: str
    fields: Mapping[str, str]  # of a record, with what to call it
    scale: float = 1.0
    is_log: bool = False
    hides_zeros: bool = False  # of fields that never were anything else


PANELS = (
    Panel(
        "Loss",
        {
            "loss": "training",
            "fixed_batch_loss": "fixed batch",
            "val_loss": "validation",
            "trivial_loss": "who always says the average",
        },
    ),
    Panel(
        "Loss over hidden patches of the fixed batch",
        {"fixed_batch_loss_moving": "that move", "fixed_batch_loss_still": "that stand still"},
    ),
    Panel("PSNR of the fixed batch, dB over masked pixels", {"psnr": "PSNR"}),
    Panel("k-NN top-1 of frozen features, %", {"probe_top1": "top-1"}, scale=100),
    Panel("Attentive top-1 of frozen features, %", {"probe_attentive_top1": "top-1"}, scale=100),
    Panel("Clips told from the same in another order, %", {"probe_order": "order"}, scale=100),
    Panel("Rank of the features", {"feature_rank": "rank"}),
    Panel("Deviation of the features", {"feature_std": "std"}),
    Panel("Validation, %", {"val_top1": "top-1", "val_top5": "top-5"}, scale=100),
    Panel("Validation of labels, %", {"val_mAP": "mAP", "val_macro_f1": "macro-F1", "val_auroc": "AUROC"}, scale=100),
    Panel("Validation, in the unit of the numbers", {"val_mae": "MAE", "val_rmse": "RMSE"}),
    Panel("Validation of numbers", {"val_r2": "R²", "val_pearson": "Pearson"}),
    Panel("Learning rate", {"learning_rate": "learning rate", "lowest_learning_rate": "lowest of the groups"}),
    Panel("Weight decay", {"weight_decay": "weight decay"}),
    Panel("Norm of the gradient", {"grad_norm": "norm"}, is_log=True),
    Panel("Norm of the parameters", {"param_norm": "norm"}),
)
TIMES = (
    Panel("Clips a second", {"clips_per_second": "clips/s"}),
    Panel("Decoding a clip, ms", {"decode_ms": "decoding"}),
    Panel("Of the threads that decode, busy, %", {"decoders_busy": "busy"}, scale=100),
    Panel("Of the device's measured rate, in the model's products, %", {"model_flops_share": "share"}, scale=100),
    Panel("Memory, GB", {"host_memory_gb": "of the process", "device_memory_gb": "of its devices, at most"}),
    Panel(
        "Clips and steps left out, over the run",
        {"bad_clips": "unreadable clips", "short_clips": "short clips", "skipped_steps": "skipped steps"},
        hides_zeros=True,
    ),
)
_TIME_OF_STEP = {"step_ms", "data_wait_fraction", "data_wait_ms", "compute_ms", "host_ms"}  # see `time_of_steps`
_FOLLOWING = {"loss_ratio", "model_flops_per_second"}  # from what is drawn
_NOT_DRAWN = {"step", "epoch", "eta_s", *_TIME_OF_STEP, *_FOLLOWING}


def curves(runs: Mapping[str, Records], panels: Sequence[Panel]) -> list[str]:
    """An SVG for each panel that any of the runs has a field of.

    Args:
        runs: name and records. One run has a colour for each field, several have one for each run.
    """
    return [_draw(runs, panel) for panel in panels if _points(runs, panel)]


def other_panels(runs: Mapping[str, Records]) -> list[Panel]:
    """Panels of the fields that no panel is for."""
    known = _NOT_DRAWN.union(*(panel.fields for panel in (*PANELS, *TIMES)))
    names = {name: None for records in runs.values() for record in records for name in record}
    found = [Panel(name, {name: name}) for name in names if name not in known]
    return [panel for panel in found if _points(runs, panel)][:MOST_OTHERS]


def time_of_steps(runs: Mapping[str, Records]) -> list[str]:
    """For each run an SVG of what a step's time was spent on, milliseconds above each other.

    Records of earlier versions say only which share was waited for clips.
    """
    made = []
    for number, (name, records) in enumerate(runs.items()):
        timed = [r for r in records if _is_number(r.get("step_ms")) and _is_number(r.get("data_wait_fraction"))]
        timed = timed[1:]  # the first has the compiler's time
        if not timed:
            continue
        steps = [record["step"] for record in timed]
        whole = np.array([record["step_ms"] for record in timed])
        waited = whole * [record["data_wait_fraction"] for record in timed]
        other = np.array([record.get("host_ms", 0.0) for record in timed])
        figure, axes = _axes("Time of a step, ms" + (f": {name}" if len(runs) > 1 else ""))
        parts = {"computing": whole - waited - other, "waiting for clips": waited, "all else": other}
        areas = axes.stackplot(steps, *parts.values(), labels=list(parts), alpha=0.85)
        for area, colour, what in zip(areas, COLOURS[:3], ("computing", "waiting", "other"), strict=True):
            area.set_color(colour)
            area.set_gid(f"area-{what}-{number}")
        axes.set_ylim(0, 1.25 * whole.max())  # room for the legend
        axes.legend(loc="upper right", frameon=False, ncols=3)
        made.append(as_svg(figure, f"time-{number}"))
    return made


def scatter(points: np.ndarray, names: Sequence[str], title: str, run: int) -> str:
    """Points (k, 2) in the colours of their names, with a legend where there are not too many of them.

    `run`: the number of the run on the page.
    """
    figure, axes = _axes(title, size=(7.2, 4.6))
    listed = sorted(set(names))
    for number, name in enumerate(listed):
        here = np.array([one == name for one in names])
        colour = COLOURS[number % len(COLOURS)]
        marker = "osD^v<>PX*"[number // len(COLOURS) % 10]
        axes.scatter(
            *points[here].T, s=16, color=colour, marker=marker, label=name, linewidths=0, gid=f"class-{number}-{run}"
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("")
    axes.grid(visible=False)
    if 1 < len(listed) <= 24:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    return as_svg(figure, f"map-{run}")


def bars(names: Sequence[str], values: Sequence[float], title: str, run: int) -> str:
    """A horizontal bar for each name; `run` as above."""
    figure, axes = _axes(title, size=(7.2, 0.9 + 0.22 * len(names)))
    axes.barh(range(len(names)), values, color=COLOURS[0], height=0.7)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("")
    axes.grid(visible=False, axis="y")
    return as_svg(figure, f"bars-{run}")


def said_over_true(points: np.ndarray, name: str, run: int, number: int) -> str:
    """What a model says of each video over what is true, (k, 2) true and said, with the line of who is always right.

    Args:
        points: of one number.
        name: what the number is called.
        run: the number of the run on the page.
        number: of the number in the run.
    """
    figure, axes = _axes(f"{name}: predicted over true", size=(4.6, 4.2))
    axes.scatter(*points.T, s=14, color=COLOURS[0], linewidths=0, alpha=0.7)
    if len(points):
        ends = [points.min(), points.max()]
        axes.plot(ends, ends, color="#999999", linewidth=1)
    axes.set_xlabel("true", fontsize=8)
    axes.set_ylabel("predicted", fontsize=8)
    return as_svg(figure, f"said-{run}-{number}")


def as_svg(figure: Any, name: str) -> str:
    """The figure as an element of a page; its ids begin with `name`, since all figures count from 1."""
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="(?!curve-|area-|class-)', f'id="{name}-', text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)


def _draw(runs: Mapping[str, Records], panel: Panel) -> str:
    figure, axes = _axes(panel.title)
    for run, field, label, steps, values in _points(runs, panel):
        number, place = list(runs).index(run), list(panel.fields).index(field)
        several = len(runs) > 1
        axes.plot(
            steps,
            values,
            color=COLOURS[(number if several else place) % len(COLOURS)],
            linestyle=STYLES[place % len(STYLES)] if several else "-",
            marker="o" if len(steps) < 12 else "",
            markersize=3,
            linewidth=1.6,
            label=f"{run}: {label}" if several and len(panel.fields) > 1 else (run if several else label),
            gid=f"curve-{field}-{number}",
        )
    if panel.is_log:
        axes.set_yscale("log")
    if len(axes.lines) > 1:
        axes.legend(frameon=False)
    return as_svg(figure, f"panel-{next(iter(panel.fields))}")


def _points(runs: Mapping[str, Records], panel: Panel) -> list[tuple[str, str, str, list[int], list[float]]]:
    """Run, field, label, steps and values of every curve that has any point."""
    return list(_each_curve(runs, panel))


def _each_curve(runs: Mapping[str, Records], panel: Panel) -> Iterator[tuple[str, str, str, list[int], list[float]]]:
    for name, records in runs.items():
        for field, label in panel.fields.items():
            found = [(r["step"], panel.scale * r[field]) for r in records if _is_number(r.get(field))]
            if found and not (panel.hides_zeros and not any(value for _, value in found)):
                yield name, field, label, [step for step, _ in found], [value for _, value in found]


def _axes(title: str, size: tuple[float, float] = SIZE) -> tuple[Any, Any]:
    # Not through pyplot, which keeps figures and chooses a backend for the whole process.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8, length=3, color="#999999")
    axes.grid(color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#999999")
    return figure, axes


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
