"""The step of any objective under `tf.distribute`: one batch in, one update made, scalars out."""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from mae.engines.arithmetic import part_loss, part_sums, sum_shapes, update_with
from mae.engines.engine import Batch, Losses, StepFunction, StepSettings
from mae.engines.optimizer import Optimizer
from mae.engines.tensorflow.replicas import StrategyReplicas


def update_step(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    optimizer: Optimizer,
    losses_of: Losses,
    settings: StepSettings,
) -> StepFunction:
    """A compiled function of a batch, or of its parts, as `mae.engines.tensorflow.distribute` gives them.

    See `mae.engines.engine.Engine.step`. Gradients of the parts are added up in float32 and reduced once.
    """
    weights, replicas = model.trainable_variables, StrategyReplicas()

    @tf.function(jit_compile=settings.jit, autograph=False)
    def loss_and_gradients(part: Batch) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss = part_loss(losses_of, part, settings.batch_size)
            scaled = optimizer.scale_loss(loss)
        raw = [weight.value for weight in weights]
        return loss, tape.gradient(scaled, raw, unconnected_gradients=tf.UnconnectedGradients.NONE)

    def sums_of(part: Batch) -> list[tf.Tensor]:
        loss, gradients = loss_and_gradients(part)
        return part_sums(loss, part, gradients)

    def update(sums: list[tf.Tensor]) -> dict[str, tf.Tensor]:
        return update_with(sums, optimizer, replicas, weights, settings.batch_size)

    def of_one(per_replica: dict[str, Any]) -> dict[str, tf.Tensor]:
        return {name: strategy.experimental_local_results(value)[0] for name, value in per_replica.items()}

    if settings.accumulate == 1:
        return tf.function(
            lambda batch: of_one(strategy.run(lambda part: update(sums_of(part)), args=(batch,))), autograph=False
        )
    with strategy.scope():
        totals = [_of_each_replica(shape) for shape in sum_shapes(weights)]

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
