"""Where arrays lie: batches spread over all devices, weights on each of them or spread over those of a process."""

from collections.abc import Sequence
from typing import Any

import jax
import keras
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mae.errors import ConfigError

PROCESSES, DEVICES = AXES = ("processes", "devices")  # of the mesh


class Placement:
    """The devices that train together, as a mesh (processes, devices of each)."""

    def __init__(self, devices: Sequence[jax.Device], shard_weights: bool = False) -> None:
        """
        Args:
            devices: of all processes, as `chosen_devices` orders them; as many of each.
            shard_weights: each device of a process keeps a part of every weight and of what the optimizer knows about
                it, and gets the rest from the others when it computes (the layout known as FSDP). Other processes
                have copies.

        Raises:
            ConfigError: weights to be spread over a single device.
        """
        processes = len({device.process_index for device in devices})
        self.mesh = Mesh(np.array(devices).reshape(processes, -1), AXES)
        self.local_devices = [device for device in devices if device.process_index == jax.process_index()]
        if shard_weights and len(self.local_devices) == 1:
            raise ConfigError("shard_weights=true spreads weights over the devices of a process, and this has only one")
        self._shards = len(self.local_devices) if shard_weights else 1
        self.local_mesh = Mesh(np.array(self.local_devices).reshape(1, -1), AXES)
        self.whole = NamedSharding(self.mesh, PartitionSpec())
        self.rows = NamedSharding(self.mesh, PartitionSpec(AXES))

    @property
    def num_replicas(self) -> int:
        return int(self.mesh.size)

    def sharded_axis(self, shape: Sequence[int]) -> int | None:
        """The axis of a weight that is spread over the devices of a process: the longest that they can share."""
        if self._shards == 1 or len(shape) < 2:
            return None
        shareable = [axis for axis, length in enumerate(shape) if length % self._shards == 0]
        return max(shareable, key=lambda axis: shape[axis], default=None)

    def spec(self, shape: Sequence[int]) -> PartitionSpec:
        """How an array of the model or the optimizer lies on the mesh."""
        axis = self.sharded_axis(shape)
        return PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, DEVICES)

    def sharding(self, shape: Sequence[int]) -> NamedSharding:
        return NamedSharding(self.mesh, self.spec(shape))

    def assign(self, variables: Sequence[keras.Variable], arrays: Sequence[Any]) -> None:
        """Gives variables values that every process has, each on the devices where it belongs."""
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(self._placed(np.asarray(array, variable.dtype)))

    def settle(self, variables: Sequence[keras.Variable]) -> None:
        """Moves variables to the devices where they belong: those that were made or filled elsewhere."""
        for variable in variables:
            if variable.value.sharding != self.sharding(variable.shape):
                variable.assign(self._placed(np.asarray(variable.value)))

    def read(self, variables: Sequence[keras.Variable]) -> list[np.ndarray]:
        """The values of variables, which every process has."""
        return [np.asarray(self.local(variable.value)) for variable in variables]

    def local(self, array: jax.Array) -> jax.Array:
        """An array of the mesh as one of this process' devices alone; nothing is copied."""
        if array.is_fully_addressable:
            return array
        sharding = NamedSharding(self.local_mesh, self.spec(array.shape))
        parts = [shard.data for shard in array.addressable_shards]
        return jax.make_array_from_single_device_arrays(array.shape, sharding, parts)

    def on_one_device(self, array: jax.Array) -> jax.Array:
        """An array of the mesh on the first device of this process."""
        if array.is_fully_replicated:
            return array.addressable_data(0)
        return jax.device_put(self.local(array), self.local_devices[0])

    def _placed(self, array: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(array.shape, self.sharding(array.shape), lambda index: array[index])
