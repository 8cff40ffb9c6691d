"""`metrics.jsonl`: one strict JSON object per logging step, the record every other monitor is a copy of."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mae.files import replacing

# JSON has no spelling for these; `float()` reads the strings back.
NON_FINITE = ("nan", "inf", "-inf")
# Fields that are called otherwise since: "probe" is what is said of features alone.
FORMER_NAMES = {"probe_loss": "fixed_batch_loss", "expected_probe_loss": "expected_fixed_batch_loss"}


class MetricsLog:
    """Appends records to `path`; every line is flushed before `write` returns.

    `path`: the file; its directory is made. `resume_step`: the step of the checkpoint this run continues from.
    Lines written after that checkpoint are dropped, so that a step never appears twice; 0 empties the file, None
    (nothing is resumed) keeps all. `is_logged`: whether the line of that step itself was written before the
    checkpoint was. A line cut short because the process was killed while writing it is dropped in either case.
    """

    def __init__(self, path: str | Path, resume_step: int | None = None, is_logged: bool = True):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            _rewrite_until(self.path, resume_step, is_logged)
        self._file = self.path.open("a", encoding="utf-8", newline="\n")

    def write(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Append one record. Values are None, strings or scalars of any library (anything `float()` takes).

        Non-finite numbers become the strings "nan", "inf" and "-inf". Raises ValueError for a record without
        an integer `step`, because nothing could tell later whether to keep the line.

        Returns:
            The record as `read_metrics` will give it.
        """
        plain = {key: _plain(value) for key, value in record.items()}
        if not isinstance(plain.get("step"), int):
            raise ValueError(f"a metrics record needs an integer 'step', got {plain.get('step')!r}")
        # One call for line and newline: a kill can then tear a line, but not join two of them.
        self._file.write(json.dumps(plain, allow_nan=False) + "\n")
        self._file.flush()
        return _as_numbers(plain)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """All records of a `metrics.jsonl`, in file order; "nan", "inf" and "-inf" are floats again.

    A line that is no complete JSON object (its write was interrupted) is left out.
    """
    records = []
    for line in _lines(Path(path)):
        record = _parse(line)
        if record is not None:
            records.append(_as_numbers({FORMER_NAMES.get(name, name): value for name, value in record.items()}))
    return records


def _as_numbers(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float(value) if value in NON_FINITE else value for name, value in record.items()}


def _plain(value: Any) -> None | bool | int | float | str:
    if value is None or isinstance(value, bool | int | str):
        return value
    array = np.asarray(value)  # also a tensor of zero dimensions
    if array.dtype.kind in "biu":
        return array.item()
    number = float(array)
    return number if math.isfinite(number) else str(number)


def _lines(path: Path) -> list[str]:
    # A power cut may leave bytes that are no text; they end up in a line that does not parse.
    return path.read_text(encoding="utf-8", errors="replace").split("\n")


def _parse(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _rewrite_until(path: Path, resume_step: int | None, is_logged: bool) -> None:
    """Keep the complete lines with `step` up to `resume_step`, or up to the one before where that is not `is_logged`.

    The old file stays whole until the new one is.
    """

    def is_kept(step: int) -> bool:
        # A run that begins anew logs its step 0 anew.
        return resume_step is None or (resume_step > 0 and step < resume_step + is_logged)

    kept = []
    for line in _lines(path):
        record = _parse(line)
        if record is None:
            continue
        if is_kept(record.get("step", 0)):
            kept.append(line + "\n")
    with replacing(path) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8", newline="\n")
