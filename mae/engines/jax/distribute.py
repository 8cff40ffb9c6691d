"""Batches of the host, handed to the devices that compute with them."""

from collections.abc import Generator, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from mae.data.one_ahead import one_ahead
from mae.engines.jax.placement import Placement
from mae.engines.parts import in_groups, share_of


def distributed(placement: Placement, batches: Iterator[Mapping[str, np.ndarray]], parts: int = 1) -> Generator[Any]:
    """Batches as arrays over all devices; the next one is handed over while the one before is computed on.

    Each device of this process gets an equal share of consecutive rows. To be closed when it is left early.

    With several `parts` each batch is an iterator of so many, to be gone through before the next batch is asked for.
    A part has consecutive rows of each share. The devices hold no more than the part that is computed on and the one
    after it.

    Raises:
        ValueError: the rows of a batch cannot be shared equally. What `batches` raises is raised here.
    """
    devices = len(placement.local_devices)

    def rows_of(name: str, value: np.ndarray, part: int) -> np.ndarray:
        shares = [share_of(name, value, i, devices, "replicas") for i in range(devices)]
        return np.concatenate([share_of(name, share, part, parts, "parts") for share in shares])

    def hand_over(batch_and_part: tuple[Mapping[str, np.ndarray], int]) -> dict[str, jax.Array]:
        batch, part = batch_and_part
        return {
            name: jax.make_array_from_process_local_data(placement.rows, rows_of(name, value, part))
            for name, value in batch.items()
        }

    handed = one_ahead(((batch, part) for batch in batches for part in range(parts)), hand_over)
    return handed if parts == 1 else in_groups(handed, parts)
