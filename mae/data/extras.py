"""What a training clip brings besides its pixels, as a function of where it stands: masks, noise, labels."""

from collections.abc import Callable, Mapping

import numpy as np

from mae.seeds import generator

ClipCounters = tuple[int, ...]
# Of epoch, example and clip of the visit, and of the pixels of that clip (T, H, W, 3); same shape for all.
Extra = Callable[[int, int, int, np.ndarray], np.ndarray]
Extras = Mapping[str, Extra]


def clip_counters(epoch: int, example: int, clip: int) -> ClipCounters:
    """What identifies a clip to `mae.seeds.generator`; the first clip of a visit is the one a single clip would be."""
    return (epoch, example, clip) if clip else (epoch, example)


def masks(
    make_mask: Callable[[np.random.Generator, np.ndarray], np.ndarray], seed: int, purpose: str = "mask"
) -> Extra:
    """Masks of the token grid: (n,) bool, True where hidden; masks of several purposes are drawn apart."""

    def of_visit(epoch: int, example: int, clip: int, pixels: np.ndarray) -> np.ndarray:
        return make_mask(generator(seed, purpose, *clip_counters(epoch, example, clip)), pixels)

    return of_visit


def at_every_visit(extra: Extra) -> Extra:
    """What a clip brings at its first visit, at all of them."""
    return lambda _epoch, example, clip, pixels: extra(0, example, clip, pixels)


def path_noise(depth: int, seed: int) -> Extra:
    """Uniform numbers in [0, 1) that decide about the two drop paths of each block: (depth, 2) float32."""

    def of_visit(epoch: int, example: int, clip: int, _pixels: np.ndarray) -> np.ndarray:
        return generator(seed, "drop path", *clip_counters(epoch, example, clip)).random((depth, 2), np.float32)

    return of_visit
