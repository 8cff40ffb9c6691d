"""A model's output for evaluations, on the devices of this process."""

from collections.abc import Callable
from typing import Any

import jax
import keras
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from mae.engines.jax.placement import AXES, Placement
from mae.engines.jax.stateless import Values
from mae.patches import normalise


def compiled(placement: Placement, model: Any, function: Callable[[Any], Any]) -> Callable[[np.ndarray], Any]:
    """See `mae.engines.engine.Engine.inference`.

    What has fewer clips than came before is filled up with black ones: every other number would be compiled anew.
    """
    variables, mesh = model.variables, placement.local_mesh
    rows = NamedSharding(mesh, PartitionSpec(AXES))

    def on_device(values: Values, pixels: jax.Array) -> Any:
        with keras.StatelessScope(zip(variables, values, strict=True)):
            return function(normalise(pixels, model.architecture.statistics))

    call = jax.jit(
        jax.shard_map(
            on_device,
            mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec(AXES)),
            out_specs=PartitionSpec(AXES),
            check_vma=False,
        )
    )
    most = 0

    def run(clips: np.ndarray) -> Any:
        nonlocal most
        placement.settle(variables)
        most = max(most, -(-len(clips) // mesh.size) * mesh.size)
        filled = np.zeros((most, *clips.shape[1:]), clips.dtype)
        filled[: len(clips)] = clips
        values = [placement.local(variable.value) for variable in variables]
        made = call(values, jax.device_put(filled, rows))
        return jax.tree.map(lambda array: np.asarray(array, np.float32)[: len(clips)], made)

    return run


def local(placement: Placement, model: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """See `mae.engines.engine.Engine.local`."""
    variables = model.variables

    @jax.jit
    def call(values: Values, arrays: tuple[Any, ...]) -> Any:
        with keras.StatelessScope(zip(variables, values, strict=True)):
            return function(*arrays)

    def run(*arrays: Any) -> Any:
        values = [placement.on_one_device(variable.value) for variable in variables]
        return jax.tree.map(np.asarray, call(values, arrays))

    return run
