"""The arithmetic of a step: what is added up over parts and replicas, and what becomes of the sums."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mae.engines.engine import Batch, Losses
from mae.engines.optimizer import Optimizer
from mae.engines.replicas import Replicas

_COUNTS = ("valid", "short", "decode_ms")  # of clips: what a batch tells of each
_NUM_SCALARS = 1 + len(_COUNTS)  # of the sums: the loss and the counts, which come before gradients


def part_loss(losses_of: Losses, part: Batch, batch_size: int) -> Any:
    """What a part of a replica's rows adds to the loss of the update, if all clips of it are readable."""
    return ops.sum(losses_of(part) * part["valid"]) / batch_size


def part_sums(loss: Any, part: Batch, gradients: Sequence[Any]) -> list[Any]:
    """What is added up over parts and replicas: scalars, then gradients of the scaled loss."""
    return [loss, *(ops.sum(part[name]) for name in _COUNTS), *gradients]


def sum_shapes(weights: Sequence[keras.Variable]) -> list[tuple[int, ...]]:
    """The shape of each of `part_sums`."""
    return [*[()] * _NUM_SCALARS, *(tuple(weight.shape) for weight in weights)]


def update_with(
    sums: Sequence[Any], optimizer: Optimizer, replicas: Replicas, weights: Sequence[keras.Variable], batch_size: int
) -> dict[str, Any]:
    """One update from the sums of a replica's parts; the scalars that `Engine.step` gives. Called by every replica."""
    loss, valid, short, decode_ms = replicas.total(sums[:_NUM_SCALARS])
    share = batch_size / ops.maximum(valid, 1.0)  # 1 unless videos were unreadable, whose clips count for nothing
    loss = loss * share
    applied = optimizer.apply([gradient * share for gradient in sums[_NUM_SCALARS:]], weights, loss)
    counts = {"bad_clips": batch_size - valid, "short_clips": short}
    return {"loss": loss, **applied, **counts, "decode_ms": decode_ms / batch_size}
