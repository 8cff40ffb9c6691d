"""The step of any objective on JAX: compiled as a whole, on any number of devices."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import lax
from jax.sharding import PartitionSpec

from mae.engines.arithmetic import part_loss, part_sums, sum_shapes, update_with
from mae.engines.engine import Batch, Losses, StepFunction, StepSettings
from mae.engines.jax.placement import AXES, DEVICES, PROCESSES, Placement
from mae.engines.jax.stateless import Values, Variables, values_after
from mae.engines.optimizer import Optimizer

_SPREAD = np.uint32(2654435761)  # odd, near 2³²/φ: what two devices draw has nothing in common


class WholeArrays:
    """See `mae.engines.replicas.Replicas`: the arrays are those of the whole mesh, so every sum is made already."""

    def total(self, values: Sequence[Any]) -> list[Any]:
        return list(values)

    def choose(
        self,
        condition: Any,
        action: Callable[..., None],
        otherwise: Callable[[], None],
        arguments: Any,
        variables: Sequence[keras.Variable],
    ) -> None:
        # Both are computed, and each array is the one's or the other's: one pass, where a branch would copy them all.
        made = values_after(lambda: action(arguments), variables)
        left = values_after(otherwise, variables)
        for variable, new, old in zip(variables, made, left, strict=True):
            variable.assign(jnp.where(condition, new, old))


def update_step(
    placement: Placement, model: keras.Model, optimizer: Optimizer, losses_of: Losses, settings: StepSettings
) -> StepFunction:
    """A compiled function of a batch, or of its parts, as `mae.engines.jax.distribute` gives them.

    See `mae.engines.engine.Engine.step`. Each device computes the sums of its rows; what becomes of them is written for
    whole arrays, and XLA spreads it over the devices. Gradients of weights that every device has are reduced once,
    those of sharded weights with each part.
    """
    state = Variables([*model.variables, *optimizer.variables])
    placement.settle(state.variables)
    shardings = [placement.sharding(variable.shape) for variable in state.variables]
    weights, seeds = model.trainable_variables, _seeds(model)
    seen = [*(v for v in model.non_trainable_variables if not _is_seed(v)), *optimizer.guard.variables]
    on_devices = _sums_on_devices(placement, (weights, seeds, seen), optimizer, losses_of, settings.batch_size)

    def sums_of(values: Values, part: Batch) -> tuple[Values, Values]:
        sums, drawn = on_devices(*(state.of(some, values) for some in (weights, seeds, seen)), part)
        return state.replaced(values, seeds, drawn), sums

    def update(values: Values, sums: Values) -> tuple[Values, dict[str, jax.Array]]:
        shapes = sum_shapes(weights)
        with state.scope(values) as scope:
            totals = [
                lax.with_sharding_constraint(jnp.sum(value, axis=0), placement.sharding(shape))
                for value, shape in zip(sums, shapes, strict=True)
            ]
            scalars = update_with(totals, optimizer, WholeArrays(), weights, settings.batch_size)
            return state.values_in(scope), scalars

    if settings.accumulate == 1:

        @partial(jax.jit, donate_argnums=0, out_shardings=(shardings, None))
        def whole(values: Values, batch: Batch) -> tuple[Values, dict[str, jax.Array]]:
            return update(*sums_of(values, batch))

        def step(batch: Batch) -> dict[str, jax.Array]:
            values, scalars = whole(state.read(), batch)
            state.write(values)
            return scalars

        return step

    @jax.jit
    def first(values: Values, part: Batch) -> tuple[Values, Values]:
        return sums_of(values, part)

    @partial(jax.jit, donate_argnums=1)
    def add(values: Values, totals: Values, part: Batch) -> tuple[Values, Values]:
        values, sums = sums_of(values, part)
        return values, [total + value for total, value in zip(totals, sums, strict=True)]

    finish = jax.jit(update, donate_argnums=0, out_shardings=(shardings, None))

    def step_in_parts(parts: Iterable[Batch]) -> dict[str, jax.Array]:
        values, totals = state.read(), None
        for part in parts:
            values, totals = first(values, part) if totals is None else add(values, totals, part)
            del part  # before the next one is asked for, and the one after that handed over
        values, scalars = finish(values, totals)
        state.write(values)
        return scalars

    return step_in_parts


def _sums_on_devices(
    placement: Placement,
    variables: tuple[Sequence[keras.Variable], ...],
    optimizer: Optimizer,
    losses_of: Losses,
    batch_size: int,
) -> Callable[..., tuple[Values, Values]]:
    """A function of the values of weights, seeds and other variables, and a part of a batch.

    It gives the sums of each device, (processes · devices, …) or for sharded weights (processes, …), and the seeds.
    """
    weights, seeds, seen = variables

    def on_device(
        weight_values: Values, seed_values: Values, seen_values: Values, part: Batch
    ) -> tuple[Values, Values]:
        offset = lax.axis_index(AXES).astype(np.uint32) * _SPREAD
        own = [value.at[0].add(offset) for value in seed_values]

        def scaled_loss(weight_values: Values) -> tuple[Any, tuple[Any, Values]]:
            whole = [
                _gathered(value, placement.sharded_axis(weight.shape))
                for weight, value in zip(weights, weight_values, strict=True)
            ]
            values = [*whole, *own, *seen_values]
            with keras.StatelessScope(zip([*weights, *seeds, *seen], values, strict=True)) as scope:
                loss = part_loss(losses_of, part, batch_size)
                return optimizer.scale_loss(loss), (loss, [scope.get_current_value(seed) for seed in seeds])

        gradients, (loss, drawn) = jax.grad(scaled_loss, has_aux=True)(weight_values)
        sums = [jnp.expand_dims(value, 0) for value in part_sums(loss, part, gradients)]
        return sums, [value.at[0].subtract(offset) for value in drawn]

    def specs(some: Sequence[keras.Variable]) -> list[PartitionSpec]:
        return [placement.spec(variable.shape) for variable in some]

    return jax.shard_map(
        on_device,
        mesh=placement.mesh,
        in_specs=(specs(weights), specs(seeds), [PartitionSpec()] * len(seen), PartitionSpec(AXES)),
        out_specs=([_spec_of_sum(placement, shape) for shape in sum_shapes(weights)], specs(seeds)),
        check_vma=False,  # Keras' operations do not say on which devices their results differ
    )


def _gathered(value: jax.Array, axis: int | None) -> jax.Array:
    """A whole weight; its gradient is added up over the devices of the process, each of which gets its own part."""
    return value if axis is None else lax.all_gather(value, DEVICES, axis=axis, tiled=True)


def _spec_of_sum(placement: Placement, shape: Sequence[int]) -> PartitionSpec:
    """Of what the devices have added up, each at its place of a new first axis."""
    axis = placement.sharded_axis(shape)
    return PartitionSpec(AXES) if axis is None else PartitionSpec(PROCESSES, *placement.spec(shape))


def _is_seed(variable: keras.Variable) -> bool:
    return variable.path.endswith("seed_generator_state")


def _seeds(model: keras.Model) -> list[keras.Variable]:
    """What the model's own random numbers are drawn from: those of plain dropout."""
    return [variable for variable in model.non_trainable_variables if _is_seed(variable)]
