"""The arithmetic of a step: what is added up over parts and replicas, and what becomes of the sums."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mae.engines.engine import Batch, Losses
from mae.engines.optimizer import Optimizer
from mae.engines.replicas import Replicas

NUM_SCALARS = 3  # of the sums: a part's loss, readable clips and milliseconds, which come before its gradients


def part_loss(losses_of: Losses, part: Batch, batch_size: int) -> Any:
    """What a part of a replica's rows adds to the loss of the update, if all clips of it are readable."""
    return ops.sum(losses_of(part) * part["valid"]) / batch_size


def part_sums(loss: Any, part: Batch, gradients: Sequence[Any]) -> list[Any]:
    """What is added up over parts and replicas: scalars, then gradients of the scaled loss."""
    return [loss, ops.sum(part["valid"]), ops.sum(part["decode_ms"]), *gradients]


def sum_shapes(weights: Sequence[keras.Variable]) -> list[tuple[int, ...]]:
    """The shape of each of `part_sums`."""
    return [*[()] * NUM_SCALARS, *(tuple(weight.shape) for weight in weights)]


def update_with(
    sums: Sequence[Any], optimizer: Optimizer, replicas: Replicas, weights: Sequence[keras.Variable], batch_size: int
) -> dict[str, Any]:
    """One update from the sums of a replica's parts; the scalars that `Engine.step` gives. Called by every replica."""
    loss, valid, decode_ms = replicas.total(sums[:NUM_SCALARS])
    share = batch_size / ops.maximum(valid, 1.0)  # 1 unless videos were unreadable, whose clips count for nothing
    loss = loss * share
    applied = optimizer.apply([gradient * share for gradient in sums[NUM_SCALARS:]], weights, loss)
    return {"loss": loss, **applied, "bad_clips": batch_size - valid, "decode_ms": decode_ms / batch_size}
