"""The step of any objective: one batch in, one update made, scalars out."""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from mae.engines.engine import Batch, Losses, StepFunction, StepSettings
from mae.engines.tensorflow.optimizer import Optimizer

_SCALARS = 4  # a part's loss, readable clips, short clips and milliseconds, which come before its gradients
Sums = list[tf.Tensor]  # of one replica


def update_step(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    optimizer: Optimizer,
    losses_of: Losses,
    settings: StepSettings,
) -> StepFunction:
    """A function of a distributed batch, or of the parts of one (see `mae.engines.tensorflow.distribute`); compiled.

    The loss is the sum of the clips' losses divided by the number of readable clips in the whole update: over all
    replicas and all accumulated parts. Gradients of the parts are added up in float32 and reduced once.

    Args:
        losses_of: gives the loss of each clip, (b,) float32, of a part of a replica's batch.

    Returns:
        A function that gives float32 scalars: `loss`, `bad_clips`, `short_clips`, `decode_ms` (mean per clip) and
        those of `Optimizer.apply`.
    """

    batch_size = settings.batch_size

    @tf.function(jit_compile=settings.jit, autograph=False)
    def loss_and_gradients(part: Batch) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(losses_of(part) * part["valid"]) / batch_size
            scaled = optimizer.scaled(loss)
        return loss, tape.gradient(scaled, _raw(model), unconnected_gradients=tf.UnconnectedGradients.NONE)

    def sums_of(part: Batch) -> Sums:
        loss, gradients = loss_and_gradients(part)
        return [loss, *(tf.reduce_sum(part[name]) for name in ("valid", "short", "decode_ms")), *gradients]

    def update(sums: Sums) -> dict[str, tf.Tensor]:
        of_replica, gradients = sums[:_SCALARS], sums[_SCALARS:]
        context = tf.distribute.get_replica_context()
        loss, valid, short, decode_ms = context.all_reduce(tf.distribute.ReduceOp.SUM, of_replica)
        # 1 unless videos were unreadable, whose clips count for nothing.
        share = batch_size / tf.maximum(valid, 1.0)
        loss = loss * share
        applied = optimizer.apply([gradient * share for gradient in gradients], model.trainable_variables, loss)
        counts = {"bad_clips": batch_size - valid, "short_clips": short}
        return {"loss": loss, **applied, **counts, "decode_ms": decode_ms / batch_size}

    def of_one(per_replica: dict[str, Any]) -> dict[str, tf.Tensor]:
        return {name: strategy.experimental_local_results(value)[0] for name, value in per_replica.items()}

    if settings.accumulate == 1:
        return tf.function(
            lambda batch: of_one(strategy.run(lambda part: update(sums_of(part)), args=(batch,))), autograph=False
        )
    with strategy.scope():
        totals = [_of_each_replica(shape) for shape in (*[()] * _SCALARS, *(v.shape for v in _raw(model)))]

    def add(part: Batch) -> None:
        for total, more in zip(totals, sums_of(part), strict=True):
            total.assign_add(tf.convert_to_tensor(more))

    def update_from_totals() -> dict[str, tf.Tensor]:
        scalars = update([total.read_value() for total in totals])
        for total in totals:
            total.assign(tf.zeros(total.shape))
        return scalars

    add_part = tf.function(lambda part: strategy.run(add, args=(part,)), autograph=False)
    finish = tf.function(lambda: of_one(strategy.run(update_from_totals)), autograph=False)

    def step(parts: Iterable[Any]) -> dict[str, tf.Tensor]:
        for part in parts:
            add_part(part)
            del part  # before the next one is asked for, and the one after that handed over
        return finish()

    return step


def _of_each_replica(shape: Any) -> tf.Variable:
    """Zeros; each replica adds to its own."""
    synchronization = tf.VariableSynchronization.ON_READ
    return tf.Variable(tf.zeros(shape), trainable=False, synchronization=synchronization)


def _raw(model: keras.Model) -> list[tf.Variable]:
    return [variable.value for variable in model.trainable_variables]
