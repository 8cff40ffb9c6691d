"""`overfit_clips=N`, a smoke test: a few clips, always the same, that any model must learn by heart.

Where the loss does not fall towards 0 on them, more videos and a longer schedule do not help: something is wrong with
the files, the settings or the code.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from mae.data.augment import CENTER
from mae.data.sampling import CENTERS, KINDS
from mae.training.config import RunConfig
from mae.training.meter import Record

Config = TypeVar("Config", bound=RunConfig)
_NO_DROPOUT: dict[str, Any] = {"drop_path_rate": 0.0, "attention_dropout_rate": 0.0, "dropout_rate": 0.0}


def overfitting(config: Config) -> Config:
    """The settings a run with `overfit_clips` goes by; without, they stay as they are.

    Whatever makes a visit to a clip another one than the last is off: clips are those of `ClipReader.center_clip`,
    segments of the video where the run is trained on segments. A larger batch is cut down to the clips there
    are, which computes the same gradient as repeating them would, for less; the learning rate stays that of the batch
    that was given. Looks that are due every few epochs are left to the end: an epoch is a step or two.
    """
    if config.overfit_clips is None:
        return config
    batch_size = min(config.batch_size, config.overfit_clips)
    larger = config.batch_size / batch_size
    return replace(
        config,
        augment=CENTER,
        data=replace(config.data, sampler=CENTERS[KINDS[config.data.sampler]], clips_per_video=1, motion_candidates=1),
        model=replace(config.model, **_NO_DROPOUT),
        batch_size=batch_size,
        learning_rate=config.learning_rate * larger,
        min_learning_rate=config.min_learning_rate * larger,
        **config.switched_off_to_overfit,
    )


def overfit_row(clips: int | None, same: str) -> list[tuple[str, str]]:
    """For the table at the start; `same`: what does not change between two visits."""
    if clips is None:
        return []
    return [("overfit", f"{clips} videos, the same {same} of each at every visit, nothing random")]


def summarize_overfitting(count: int, records: Sequence[Record]) -> str:
    """How far the loss fell over the records of the run, and for labelled clips, how many of them are right."""
    seen = [record for record in records if record.get("loss") is not None]
    if not seen:
        return f"overfit {count} clips: no loss was logged"
    first, last = seen[0]["loss"], seen[-1]["loss"]
    share = f", {100 * last / first:.0f} % of the first" if first > 0 else ""
    right = seen[-1].get("val_top1")
    known = "" if right is None else f", top-1 on them {100 * right:.0f} %"
    steps = f"step {seen[0]['step']} → {seen[-1]['step']}"
    advice = "; it should fall towards 0: try more steps or another learning_rate" if last > first / 2 else ""
    return f"overfit {count} clips: loss {first:.4f} → {last:.4f} ({steps}{share}){known}{advice}"
