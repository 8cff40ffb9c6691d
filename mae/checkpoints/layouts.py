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


def split_qkv_bias(arrays: dict[str, np.ndarray]) -> None:
    """Replaces `…/attention/qkv/bias` (3·d) by `…/attention/q_bias` and `v_bias`, (d,) each; in place.

    The part of the keys goes: it shifts all scores of a query alike, and the softmax is the same without it.
    """
    for path in [path for path in arrays if path.endswith("/attention/qkv/bias")]:
        prefix, bias = path.removesuffix("qkv/bias"), arrays[path]
        if bias.ndim == 1 and len(bias) % len(_PARTS) == 0:
            arrays[f"{prefix}q_bias"], _, arrays[f"{prefix}v_bias"] = np.split(arrays.pop(path), len(_PARTS))


def fold_layer_scale(arrays: dict[str, np.ndarray]) -> None:
    """Multiplies `…/layer_scale` (d,), the factor of a residual branch, into the layer that the branch ends with.

    In place. The branch is γ·(x·W + b) = x·(γ·W) + γ·b, so that the model needs no such weight.
    """
    for branch, last in (("attention", "projection"), ("mlp", "fc2")):
        for path in [path for path in arrays if path.endswith(f"/{branch}/layer_scale")]:
            prefix = path.removesuffix("layer_scale") + last
            ends = [f"{prefix}/{parameter}" for parameter in ("kernel", "bias")]
            scale = arrays[path]
            # What does not fit together stays as it is, and has then no place in a model.
            if scale.ndim == 1 and all(end in arrays and arrays[end].shape[-1:] == scale.shape for end in ends):
                del arrays[path]
                arrays |= {end: arrays[end].astype("float32") * scale.astype("float32") for end in ends}


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
