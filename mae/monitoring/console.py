"""What a person watching the terminal reads. Pure functions that return strings; nothing is printed here."""

import io
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

_UNBROKEN = 1 << 16  # characters in a line that nobody's terminal has to show


def format_progress(record: Mapping[str, Any], total_steps: int) -> str:
    """One line for one record of `metrics.jsonl`.

    `record`: needs `step`; each other field appears if it is there and not None. Units as in the file: seconds,
    fractions (shown in percent), decibels.

    >>> format_progress({"step": 5, "loss": 0.5, "eta_s": 72.0}, 400)
    'step   5/400  loss 0.5000  ETA 1m 12s'
    """
    parts = [f"step {record['step']:>{len(str(total_steps))}}/{total_steps}"]
    parts += [text(record[key]) for key, text in _FIELDS.items() if record.get(key) is not None]
    return "  ".join(part for part in parts if part)


def format_duration(seconds: float) -> str:
    """Two units at most: `42s`, `1m 12s`, `2h 05m`, `3d 04h`; `?` for a negative or non-finite duration."""
    if not math.isfinite(seconds) or seconds < 0:
        return "?"
    whole = round(seconds)
    minutes, s = divmod(whole, 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days}d {h:02d}h"
    if hours:
        return f"{hours}h {m:02d}m"
    if minutes:
        return f"{minutes}m {s:02d}s"
    return f"{s}s"


def format_table(rows: Iterable[tuple[str, str]], title: str) -> str:
    """Two aligned columns under a title, without a trailing newline; a value of several lines stays aligned.

    On a terminal long values are broken where it ends; elsewhere they are not.

    >>> print(format_table([("token grid", "8 x 14 x 14"), ("visible", "160")], "model"))
    model
      token grid  8 x 14 x 14
      visible     160
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(f"  {name}"), Text(str(value)))
    width = Console().width if is_terminal() else _UNBROKEN
    console = Console(file=io.StringIO(), width=width, color_system=None, force_jupyter=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join([title, *(line.rstrip() for line in captured.get().splitlines())])


def is_terminal() -> bool:
    """Whether standard output is a terminal that can rewrite a line."""
    from rich.console import Console

    return sys.stdout.isatty() and not Console().is_dumb_terminal


def _grad(value: float) -> str:
    # Outside this range two decimals would print 0.00 or a long row of digits.
    return f"grad {value:.2f}" if 0.01 <= value < 1000 else f"grad {value:.1e}"


def _clips(value: float) -> str:
    return f"{value:.0f} clips/s" if value >= 10 else f"{value:.1f} clips/s"


# Field of the record -> its text, in the order they are shown.
_FIELDS = {
    "loss": lambda v: f"loss {v:.4f}",
    "learning_rate": lambda v: f"lr {v:.1e}",
    "grad_norm": _grad,
    "psnr": lambda v: f"psnr {v:.1f} dB",
    "probe_top1": lambda v: f"probe top-1 {100 * v:.1f} %",
    "probe_attentive_top1": lambda v: f"probe attentive top-1 {100 * v:.1f} %",
    "probe_order": lambda v: f"probe order {100 * v:.1f} %",
    "feature_rank": lambda v: f"rank {v:.1f}",
    "feature_std": lambda v: f"std {v:.3f}",
    "val_top1": lambda v: f"val top-1 {100 * v:.1f} %",
    "val_top5": lambda v: f"top-5 {100 * v:.1f} %",
    "val_mAP": lambda v: f"val mAP {100 * v:.1f} %",
    "val_macro_f1": lambda v: f"macro-F1 {100 * v:.1f} %",
    "val_auroc": lambda v: f"AUROC {100 * v:.1f} %",
    "val_mae": lambda v: f"val MAE {v:.4g}",
    "val_rmse": lambda v: f"RMSE {v:.4g}",
    "val_r2": lambda v: f"R² {v:.3f}",
    "val_pearson": lambda v: f"Pearson {v:.3f}",
    "clips_per_second": _clips,
    "data_wait_fraction": lambda v: f"data wait {100 * v:.0f} %",
    "bad_clips": lambda v: f"bad clips {v:.0f}" if v else "",
    "skipped_steps": lambda v: f"skipped {v:.0f}" if v else "",
    "eta_s": lambda v: f"ETA {format_duration(v)}",
}
