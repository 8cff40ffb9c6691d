"""The step of any objective: one batch in, one update made, scalars out."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from mae.engines.engine import Batch, Losses, StepFunction, StepSettings
from mae.engines.tensorflow.optimizer import Optimizer


def update_step(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    optimizer: Optimizer,
    losses_of: Losses,
    settings: StepSettings,
) -> StepFunction:
    """A compiled function of a distributed batch (see `mae.engines.tensorflow.distribute`).

    The loss is the sum of the clips' losses divided by the number of readable clips in the whole update: over all
    replicas and all accumulated parts. Gradients of the parts are added up in float32 and reduced once.

    Args:
        losses_of: gives the loss of each clip, (b,) float32, of a part of a replica's batch.

    Returns:
        A function that gives float32 scalars: `loss`, `bad_clips`, `decode_ms` (mean per clip) and those of
        `Optimizer.apply`.
    """

    batch_size = settings.batch_size

    @tf.function(jit_compile=settings.jit, autograph=False)
    def loss_and_gradients(part: Batch) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(losses_of(part) * part["valid"]) / batch_size
            scaled = optimizer.scaled(loss)
        return loss, tape.gradient(scaled, _raw(model), unconnected_gradients=tf.UnconnectedGradients.NONE)

    def replica_step(batch: Batch) -> dict[str, tf.Tensor]:
        loss, gradients = _accumulated(loss_and_gradients, batch, settings.accumulate, _raw(model))
        context = tf.distribute.get_replica_context()
        loss, valid, decode_ms = context.all_reduce(
            tf.distribute.ReduceOp.SUM,
            [loss, tf.reduce_sum(batch["valid"]), tf.reduce_sum(batch["decode_ms"])],
        )
        # 1 unless videos were unreadable, whose clips count for nothing.
        share = batch_size / tf.maximum(valid, 1.0)
        loss = loss * share
        applied = optimizer.apply([gradient * share for gradient in gradients], model.trainable_variables, loss)
        return {"loss": loss, **applied, "bad_clips": batch_size - valid, "decode_ms": decode_ms / batch_size}

    @tf.function(autograph=False)
    def step(batch: Any) -> dict[str, tf.Tensor]:
        per_replica = strategy.run(replica_step, args=(batch,))
        return {name: strategy.experimental_local_results(value)[0] for name, value in per_replica.items()}

    return step


def _raw(model: keras.Model) -> list[tf.Variable]:
    return [variable.value for variable in model.trainable_variables]


def _accumulated(
    loss_and_gradients: Callable[[Batch], tuple[tf.Tensor, list[tf.Tensor]]],
    batch: Batch,
    parts: int,
    variables: list[tf.Variable],
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Loss and gradients added up over `parts` equal parts of a replica's batch, computed one after the other."""
    if parts == 1:
        return loss_and_gradients(batch)
    split = {name: tf.reshape(value, (parts, -1, *value.shape[1:])) for name, value in batch.items()}

    def add_part(i: tf.Tensor, loss: tf.Tensor, *gradients: tf.Tensor) -> tuple[tf.Tensor, ...]:
        more_loss, more = loss_and_gradients({name: value[i] for name, value in split.items()})
        return (i + 1, loss + more_loss, *(a + b for a, b in zip(gradients, more, strict=True)))

    start = (tf.constant(0), tf.constant(0.0), *(tf.zeros(v.shape) for v in variables))
    # One at a time: running parts side by side would need the memory that accumulation is there to save.
    _, loss, *gradients = tf.while_loop(lambda i, *_: i < parts, add_part, start, parallel_iterations=1)
    return loss, gradients
