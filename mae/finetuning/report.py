"""What a fine-tuning tells the person who started it, besides its progress."""

import math
from pathlib import Path

from mae.cli.commands import to_type
from mae.cli.quoting import setting
from mae.data.lists.splits import Splits, how_to_hold_out
from mae.data.lists.video_index import VideoIndex
from mae.finetuning.config import FinetuneConfig
from mae.options import CLASSIFICATION, MULTILABEL, REGRESSION
from mae.training.next_commands import tell_next
from mae.training.session import Session, optimizer_rows


def finetune_rows(config: FinetuneConfig, splits: Splits, session: Session) -> list[tuple[str, str]]:
    """Name and value of what a run works with, for the table at its start."""
    model = session.model
    trained = sum(group.size for group in session.optimizer.groups) / 1e6
    total = sum(math.prod(variable.shape) for variable in model.weights) / 1e6
    dtype = model.dtype_policy.compute_dtype
    views = f"{config.test.clips} clips ({config.test.sampler}) × {config.test.crops} crops"
    frozen = {"none": "nothing", "encoder": "the encoder"}.get(config.freeze, f"{config.freeze} blocks")
    outputs = {CLASSIFICATION: "classes", MULTILABEL: "labels", REGRESSION: "numbers"}[config.task]
    head = f"{model.num_classes} {outputs}, dropout {config.head_dropout_rate:g}, pooling {config.pooling}"
    rows = [
        *splits.train.rows(),
        ("validation", _held_out(splits.val) or f"none: {how_to_hold_out(config.dataset)}"),
        ("test", f"{_held_out(splits.test)}, {views}" if splits.test else "none"),
        *_shared(splits),
        *_loss(config),
        ("model", f"{config.model.preset}, {total:.1f} M values, {trained:.1f} M of them train, computes in {dtype}"),
        ("head", f"{head}; frozen: {frozen}"),
        ("devices", session.engine.describe_devices()),
    ]
    return [*rows, *optimizer_rows(config, session)]


def _loss(config: FinetuneConfig) -> list[tuple[str, str]]:
    """What is learnt otherwise than by the cross-entropy of each video alike."""
    if config.task == REGRESSION:
        delta = f", delta {config.huber_delta:g}" if config.regression_loss == "huber" else ""
        return [("loss", f"{config.regression_loss}{delta}, of numbers in units of their deviation")]
    balanced = {"weights": "rare ones count more", "sampler": "every class is visited equally often"}
    return [("balance", balanced[config.class_balance])] if config.class_balance != "none" else []


def _shared(splits: Splits) -> list[tuple[str, str]]:
    """Videos that are learnt by heart and then judged by; there are none in a run with `overfit_clips`."""
    if splits.val is splits.train or not (shared := splits.shared):
        return []
    return [("ALSO HELD OUT", f"{len(shared)} of the training videos, the first: {shared[0]}")]


def print_summary(run_dir: Path, video: str | None) -> str:
    """Where the run is, and the command to type next, which it keeps in the run directory as well.

    Args:
        video: one that can be read; None: none is known.
    """
    if video is None:
        return f"run: {run_dir}"
    command = to_type("predict", setting("checkpoint", str(run_dir)), setting("video", video))
    return f"run: {run_dir}\n{tell_next(run_dir, [command])}"


def _held_out(index: VideoIndex | None) -> str:
    if index is None:
        return ""
    missing = f", {index.missing} missing" if index.missing else ""
    return f"{len(index.paths)} videos{missing}, list hash {index.digest[:16]}"
