"""Weights out of a state dict of PyTorch, whoever saved it: what is wrapped around it, and whose names it has.

Training loops save the same model under names of their own: `module.` of data parallelism, the attribute of a Lightning
module, `backbone.` of a framework, a moving average beside it. All of that is seen through; what is left must be known.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mae.checkpoints import hugging_face, image_mae
from mae.checkpoints.layouts import fold_layer_scale, from_pytorch, fuse_qkv, split_qkv_bias
from mae.checkpoints.names import DECODER, HUGGING_FACE, MMACTION, PATCH_KERNEL, PYTORCH, TABLES, NameTable
from mae.checkpoints.schema import MAX_NAME, check_count, check_name
from mae.checkpoints.strangers import check_entries, check_names
from mae.checkpoints.weights import Weights
from mae.errors import ConfigError, shown

# Entries of a file that are a model, in the order in which they are looked for: a moving average only where there is
# nothing else, since what else a file says (its step, its optimizer) belongs to the weights themselves.
_AVERAGES = ("model_ema", "state_dict_ema", "ema_state_dict", "ema")
_WRAPPERS = (
    "model", "module", "state_dict", "model_state_dict", "student", "net", "network", "backbone", "encoder", *_AVERAGES
)  # fmt: skip
_MAX_WRAPPERS = 8  # within one another; a file can hold a table that holds itself
# What stands before names, also several times; names with `_BESIDE` are a second model, where there is a first one.
_PREFIXES = ("module.", "model.", "backbone.", "encoder.", "student.", "net.", "network.")
_BESIDE = ("teacher.", "model_ema.", "ema_model.", "ema.")
_COMPILED = "_orig_mod."  # of torch.compile, anywhere in a name
_ENCODER_PARTS = ("patch_embed.", "blocks.", "norm.", "pos_embed")
_BARE_PARTS = ("embeddings.", "encoder.layer.", "layernorm.")  # of transformers' encoder alone
_OTHER_DECODER = re.compile(r"(?!decoder\.|encoder_to_decoder\.)\w*decoder\w*\.")


def state_dict(tree: Any, path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The tensors of a PyTorch file, out of the dict that wraps them, and the names of the rest.

    Raises:
        ConfigError: no tensors where they could be, or those of another model that is known by the entries beside it.
    """
    set_aside: list[str] = []
    for _ in range(_MAX_WRAPPERS):
        if not isinstance(tree, Mapping):
            break
        check_count(path, len(tree), "entries in one table")
        check_entries(path, tree)
        if any(isinstance(value, np.ndarray) for value in tree.values()):
            others = [_entry_name(name) for name, value in tree.items() if not isinstance(value, np.ndarray)]
            tensors = {check_name(path, name): value for name, value in tree.items() if isinstance(value, np.ndarray)}
            return tensors, set_aside + others
        wrapper = next((name for name in _WRAPPERS if isinstance(tree.get(name), Mapping)), None)
        if wrapper is None:
            break
        set_aside += [_entry_name(name) for name in tree if name != wrapper]
        tree = tree[wrapper]
    raise ConfigError(f"{path} holds no state dict, neither by itself nor under {', '.join(_WRAPPERS)}")


def from_state_dict(state: dict[str, np.ndarray], source: Path, inflate: bool = False) -> Weights:
    """Weights from the names and layouts of whichever table explains most of the tensors; empties `state`.

    Args:
        inflate: the tensors are those of an image MAE, to be inflated; see `mae.checkpoints.image_mae`.

    Raises:
        ConfigError: tensors of another model that is known by its names, or with `inflate` of no image model.
    """
    beside = _take_beside(state)
    if inflate:
        image_mae.inflate(state, source)
    check_names(source, state)
    candidates = [(table, _names(table, explicit, state)) for table, explicit in _TABLES]
    table, names = max(candidates, key=lambda made: sum(made[0].ours(name) is not None for name, _ in made[1]))
    weights = from_names(table, names, state, source)
    weights.set_aside = beside
    _set_other_decoders_aside(weights)
    weights.arrays = {path: from_pytorch(path, array) for path, array in weights.arrays.items()}
    fuse_qkv(weights.arrays)
    split_qkv_bias(weights.arrays)
    fold_layer_scale(weights.arrays)
    if table is HUGGING_FACE:
        hugging_face.use_defaults(weights)
    if inflate and weights.arrays.keys() >= {TABLES[0], PATCH_KERNEL}:
        weights.told["image_size"] = image_mae.image_size(weights.arrays[TABLES[0]], weights.arrays[PATCH_KERNEL])
    return weights


def from_names(
    table: NameTable, names: Iterable[tuple[str, str]], tensors: dict[str, np.ndarray], source: Path
) -> Weights:
    """Weights of a format with unique names, not laid out yet; `names` are pairs of the table's and the file's.

    `tensors` is emptied, so that memory holds nothing twice.
    """
    weights = Weights(source, table.title, {}, their_name=table.theirs)
    for name, original in names:
        weights.place(original, table.ours(name), tensors.pop(original))
    return weights


def with_encoder(name: str, separator: str) -> str:
    """A name of the release, with the prefix that an encoder has where it stands beside a decoder."""
    parts = tuple(part.replace(".", separator) for part in _ENCODER_PARTS)
    return f"encoder{separator}{name}" if name.startswith(parts) else name


def _with_videomae(name: str) -> str:
    return f"videomae.{name}" if name.startswith(_BARE_PARTS) else name


# Each table, and how a name becomes one of it where it is that of an encoder alone.
_TABLES: tuple[tuple[NameTable, Callable[[str], str]], ...] = (
    (PYTORCH, lambda name: with_encoder(name, ".")),
    (HUGGING_FACE, _with_videomae),
    (MMACTION, lambda name: with_encoder(name, ".")),
)


def _names(table: NameTable, explicit: Callable[[str], str], state: Iterable[str]) -> list[tuple[str, str]]:
    """Names of a table, each with the name in the file: without what stands before one that the table knows."""
    return [(_unwrapped(table, explicit, name), name) for name in state]


def _unwrapped(table: NameTable, explicit: Callable[[str], str], original: str) -> str:
    rest = original.replace(_COMPILED, "")
    while table.ours(name := explicit(rest)) is None:
        prefix = next((prefix for prefix in _PREFIXES if rest.startswith(prefix)), None)
        if prefix is None:
            return name  # that of a tensor without a place
        rest = rest.removeprefix(prefix)
    return name


def _take_beside(state: dict[str, np.ndarray]) -> list[str]:
    """Takes out what is no weight of the model itself; returns the names.

    Those are a second model (a teacher, a moving average) and scalars that count something, as `n_averaged`. Where
    there is no other model, the second one is the first and loses its prefix.
    """
    counts = [name for name, array in state.items() if array.ndim == 0 and array.dtype.kind in "iu"]
    second = [name for name in state if name.startswith(_BESIDE) and name not in counts]
    if len(second) + len(counts) == len(state) and len({name.split(".")[0] for name in second}) == 1:
        for name in second:
            state[name.split(".", 1)[1]] = state.pop(name)
        second = []
    for name in (*counts, *second):
        del state[name]
    return [*counts, *second]


def _set_other_decoders_aside(weights: Weights) -> None:
    """Leaves a file that was pre-trained for another target as the encoder it holds.

    Distilled models (UMT's `clip_decoder`, one for each teacher of MVD) have decoders of their own names.
    """
    others = [name for name in weights.unknown if _OTHER_DECODER.match(_bare(name))]
    if others:
        shared = [path for path in weights.arrays if path.startswith(DECODER)]
        weights.set_aside += others + [weights.names.pop(path) for path in shared]
        weights.unknown = [name for name in weights.unknown if name not in others]
        weights.arrays = {path: array for path, array in weights.arrays.items() if path not in shared}


def _bare(name: str) -> str:
    """A name without any prefix that a training loop may have put before it."""
    name = name.replace(_COMPILED, "")
    while prefix := next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None):
        name = name.removeprefix(prefix)
    return name


def _entry_name(name: Any) -> str:
    """What a message calls an entry that is no tensor."""
    return name[:MAX_NAME] if isinstance(name, str) and name.isprintable() else shown(name)
