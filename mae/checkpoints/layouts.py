"""How tensors lie in each format: linear layers, convolutions, and queries, keys and values."""

from collections.abc import Mapping

import numpy as np

from mae.checkpoints.names import PATCH_KERNEL, TABLES

_PARTS = ("q", "k", "v")


def from_pytorch(path: str, array: np.ndarray) -> np.ndarray:
    """A weight of a PyTorch module under our name `path`, laid out as in `Weights.arrays`; a view.

    Linear (out, in) → (in, out); convolution (out, c, pt, ph, pw) → (pt, ph, pw, c, out), (out, c, ph, pw) →
    (ph, pw, c, out); position table (1, n, d) → (n, d).
    """
    if path == PATCH_KERNEL and array.ndim >= 4:
        return np.moveaxis(array, (0, 1), (-1, -2))
    if path in TABLES:
        return array[0] if array.ndim == 3 and len(array) == 1 else array
    return array.T if path.endswith("/kernel") else array


def to_pytorch(path: str, array: np.ndarray) -> np.ndarray:
    """The inverse of `from_pytorch`, contiguous."""
    if path == PATCH_KERNEL:
        array = np.moveaxis(array, (-1, -2), (0, 1))
    elif path in TABLES:
        array = array[None]
    elif path.endswith("/kernel"):
        array = array.T
    return np.ascontiguousarray(array)


def fuse_qkv(arrays: dict[str, np.ndarray]) -> None:
    """Replaces `…/attention/{q,k,v}/kernel`, each (d, d), by `…/attention/qkv/kernel` (d, 3·d).

    In place, so that no block is held twice for longer than it takes; incomplete triples stay as they are.
    """
    for path in [path for path in arrays if path.endswith("/attention/q/kernel")]:
        prefix = path.removesuffix("q/kernel")
        parts = [f"{prefix}{part}/kernel" for part in _PARTS]
        # What does not fit together stays apart, and has then no place in a model.
        if {arrays[part].shape for part in parts if part in arrays} != {arrays[path].shape} or arrays[path].ndim != 2:
            continue
        if all(part in arrays for part in parts):
            arrays[f"{prefix}qkv/kernel"] = np.concatenate([arrays.pop(part) for part in parts], axis=1)


def split_qkv(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `fuse_qkv`."""
    split: dict[str, np.ndarray] = {}
    for path, array in arrays.items():
        if path.endswith("/attention/qkv/kernel"):
            prefix = path.removesuffix("qkv/kernel")
            parts = np.split(array, len(_PARTS), axis=1)
            split |= {f"{prefix}{part}/kernel": kernel for part, kernel in zip(_PARTS, parts, strict=True)}
        else:
            split[path] = array
    return split
