"""Weights of any released or own checkpoint into a model: all of them, or none and an error."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from mae.checkpoints.fit import fit
from mae.checkpoints.metadata import Training
from mae.checkpoints.read import read_weights
from mae.checkpoints.weights import Weights, model_kind, model_variables
from mae.errors import ConfigError, check_choice, some
from mae.models.norms import set_norm_epsilons
from mae.monitoring.console import format_table
from mae.options import POSITION_MODES

_SHOWN = 6  # names of entries that are left aside
_THREADS = 2  # that transpose: more wait for the memory


@dataclass(frozen=True)
class LoadReport:
    """What was done with each tensor of a checkpoint and each weight of the model."""

    path: Path
    format: str
    kind: str  # of the checkpoint: pretrainer | classifier | encoder
    loaded: tuple[str, ...]  # weights filled
    reshaped: tuple[str, ...]  # with both shapes
    missing: tuple[str, ...]  # weights that stay as they were initialised
    unexpected: tuple[str, ...]  # tensors of the file without use in this model, by design
    interpolated: tuple[str, ...]  # position tables, with both grids
    id2label: dict[int, str]  # empty where the file has no names or the head is fresh
    training: Training  # as far as the file tells
    notes: tuple[str, ...] = ()

    @property
    def fresh_head(self) -> bool:
        """Whether the classifier's head was not in the file: its output means nothing yet."""
        return "head/kernel" in self.missing

    @property
    def fresh_decoder(self) -> bool:
        """Whether the decoder was not in the file."""
        return "decoder/mask_token" in self.missing

    def summary(self) -> str:
        """What a run says of it at its start: a line, and one for each note."""
        parts = [f"{len(self.loaded)} tensors loaded from {self.path} ({self.format}, {self.kind})"]
        parts += [f"{len(names)} {what}" for what, names in self._changed.items() if names]
        parts += [f"FRESH: {_by_part(self.missing, ', ')}"] if self.missing else []
        parts += [f"dropped: {_by_part(self.unexpected, ', ')}"] if self.unexpected else []
        return "\n".join(["; ".join(parts), *(f"  note: {note}" for note in self.notes)])

    @property
    def _changed(self) -> dict[str, tuple[str, ...]]:
        return {"reshaped": self.reshaped, "interpolated": self.interpolated}

    def table(self) -> str:
        """What commands print."""
        rows = [
            ("file", str(self.path)),
            ("format", f"{self.format}, {self.kind}"),
            ("loaded", f"{len(self.loaded)} tensors"),
            *[(what, "\n".join(names) or "none") for what, names in self._changed.items()],
            ("FRESH" if self.missing else "fresh", _by_part(self.missing)),
            ("dropped", _by_part(self.unexpected)),
            ("label names", f"{len(self.id2label)}" if self.id2label else "none"),
            *[("note", note) for note in self.notes],
        ]
        return format_table(rows, "checkpoint")


def load_checkpoint(
    path: str | Path,
    model: Any,
    allow_missing: str | Sequence[str] = (),
    positions: str = "recompute",
    inflate: bool = False,
) -> LoadReport:
    """Fills a model from a checkpoint of any format of MODEL_ZOO.md or from a run of this project.

    Every tensor of the file must have a place and every weight of the model a tensor, except for handoffs: a
    classifier takes the encoder of a pre-trained file and starts with a fresh head. Layers take the epsilon their
    weights were trained with. Load before the model is compiled into a function.

    Args:
        path: of the file or folder; of a run its directory or one of its checkpoints.
        model: a built `Pretrainer` or `Classifier`.
        allow_missing: prefixes of weights that may stay as initialised; "decoder" is the decoder, its mask token and
            what leads to it. Such a part is loaded whole or not at all.
        positions: what becomes of fixed tables. "recompute": the model's, for its own grid; a file that was trained
            with another kind of table is refused. "interpolate": the one the file was trained with, interpolated where
            the grid is another. "replace": the model's, whatever the file was trained with; outputs then mean nothing
            until the model is trained further. Learnable tables are always interpolated.
        inflate: the file is an MAE of images (arXiv:2111.06377): its encoder is taken, the kernel of patches repeated
            over the frames of a tubelet and divided by their number, the table of positions repeated over time.

    Returns:
        What was done, as `report.kind`, `loaded`, `missing`, `unexpected`; `report.table()` shows it.

    Raises:
        ConfigError: the file cannot be read or does not fit; the model keeps its weights.

    Example:
        >>> import mae, tempfile
        >>> path = tempfile.mkdtemp() + "/pretrained.h5"
        >>> mae.save_checkpoint(mae.build_pretrainer("vit_micro", depth=1), path, "keras_h5")
        >>> classifier = mae.build_classifier("vit_micro", num_classes=2, depth=1)
        >>> report = mae.load_checkpoint(path, classifier)
        >>> report.kind, report.fresh_head
        ('pretrainer', True)
    """
    check_choice("positions", positions, POSITION_MODES)
    return load_weights(read_weights(path, inflate), model, allow_missing, positions)


def load_weights(
    weights: Weights, model: Any, allow_missing: str | Sequence[str] = (), positions: str = "recompute"
) -> LoadReport:
    """`load_checkpoint` for weights that are read already; they are used up unless it raises."""
    allowed = (allow_missing,) if isinstance(allow_missing, str) else tuple(allow_missing)
    if weights.kind == model_kind(model) == "classifier" and weights.task != model.task:
        raise ConfigError(
            f"the head of {weights.source} is for task={weights.task}, that of the model for task={model.task}: "
            "mae.from_pretrained gives the model of the file, and its new_head(…, task=…) one with another head"
        )
    variables = model_variables(model)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    made = fit(weights, model_kind(model), model.architecture, shapes, allowed, positions)
    kind, loaded = weights.kind, tuple(made.arrays)
    weights.arrays = {}  # so that each array can go as soon as it is assigned
    for name, value in _laid_out(made.arrays):
        variables[name].assign(value)
    trained_with = {"layer_norm_epsilon": weights.layer_norm_epsilon, "head_norm_epsilon": weights.head_norm_epsilon}
    set_norm_epsilons(model, replace(model.architecture, **trained_with))
    if weights.set_aside:
        left = f"{len(weights.set_aside)} entries that are no weights of the model"
        made.notes.append(f"left aside: {left} ({some(weights.set_aside, _SHOWN)})")
    return LoadReport(
        path=weights.source,
        format=weights.format,
        kind=kind,
        loaded=loaded,
        reshaped=tuple(made.reshaped),
        missing=tuple(sorted(made.fresh)),
        unexpected=tuple(weights.names.get(name, name) for name in made.dropped),
        interpolated=tuple(made.interpolated),
        id2label=weights.id2label if "head/kernel" in loaded else {},
        training=weights.training,
        notes=tuple(made.notes),
    )


def _laid_out(arrays: dict[str, np.ndarray]) -> Iterator[tuple[str, Any]]:
    """Names with values as variables take them, a few at a time; empties `arrays`."""
    with ThreadPoolExecutor(_THREADS) as pool:
        names = list(arrays)
        for start in range(0, len(names), 2 * _THREADS):
            some = names[start : start + 2 * _THREADS]
            yield from zip(some, pool.map(_contiguous, [arrays.pop(name) for name in some]), strict=True)


def _contiguous(array: np.ndarray) -> Any:
    # The backend transposes several times faster than NumPy copies what lies the other way round.
    return ops.transpose(array.T) if array.ndim == 2 and array.flags.f_contiguous else array


def _by_part(names: Sequence[str], between: str = "\n", shown: int = 6) -> str:
    """`decoder (41), head (2)` for long lists, the names themselves for short ones."""
    if not names:
        return "none"
    if len(names) <= shown:
        return between.join(names)
    parts: dict[str, int] = {}
    for name in names:
        part = name.replace(".", "/").split("/")[0]
        parts[part] = parts.get(part, 0) + 1
    return ", ".join(f"{part} ({count})" for part, count in parts.items())
