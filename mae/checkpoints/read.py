"""Any checkpoint as `Weights`: the format is found from the content, never from the extension."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mae.checkpoints import hugging_face, keras_names
from mae.checkpoints.containers.archives import unpacked
from mae.checkpoints.containers.identify import identify
from mae.checkpoints.containers.keras_archive import read_keras_archive
from mae.checkpoints.containers.keras_h5 import read_keras_h5
from mae.checkpoints.containers.safetensors_file import INDEX, read_safetensors, read_sharded
from mae.checkpoints.containers.tensorflow_bundle import read_saved_model, read_tf_checkpoint
from mae.checkpoints.containers.torch_zip import read_torch
from mae.checkpoints.layouts import from_pytorch, fuse_qkv
from mae.checkpoints.metadata import KERAS_NOTE, KEY, architecture_from, metadata_from
from mae.checkpoints.names import HUGGING_FACE, PYTORCH, TENSORFLOW, NameTable
from mae.checkpoints.saved_model import read_extra
from mae.checkpoints.schema import MAX_NAME, check_count, check_name
from mae.checkpoints.weights import Weights, own_weights
from mae.errors import ConfigError, shown

_WRAPPERS = ("model", "module", "state_dict", "model_state_dict")
_MAX_WRAPPERS = 8  # within one another; a file can hold a table that holds itself
_ENCODER_PARTS = ("patch_embed.", "blocks.", "norm.", "pos_embed")


def read_weights(path: str | Path) -> Weights:
    """Reads a file or folder of any format.

    Raises:
        ConfigError: nothing there, damaged, or of no known format.
    """
    path = Path(path)
    try:
        weights = _READERS[identify(path)](path)
    except MemoryError as error:  # an honest file can be too large, too, or a sparse one look so
        raise ConfigError(f"{path} needs more memory than there is") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror or error})") from error
    weights.check_arrays()
    return weights


def _read_keras_h5(path: Path) -> Weights:
    file = read_keras_h5(path, (KEY,))
    weights = from_keras_names(keras_names.flattened(file.layers), path, "Keras h5")
    if note := file.notes.get(KEY):
        weights.take(metadata_from(note, path))
    return weights


def _read_saved_model(path: Path) -> Weights:
    named = read_saved_model(path)
    extra = read_extra(path)
    if extra is None:
        return from_keras_names(named, path, "Keras SavedModel")
    arrays = {name.split("/", 1)[-1]: array for name, array in named if not name.endswith("seed_generator_state")}
    weights = own_weights(arrays, extra.architecture, path, "SavedModel of this project")
    weights.take(extra)
    return weights


def _read_zipped_saved_model(path: Path) -> Weights:
    with unpacked(path) as folder:
        weights = _read_saved_model(folder)
    weights.source = path
    return weights


def _read_tf_checkpoint(path: Path) -> Weights:
    tensors = read_tf_checkpoint(path)
    # The running number of q_bias_id17 is the only one in an object path.
    names = [(_with_encoder(re.sub(r"([qv]_bias)_id\w*$", r"\1", name), "/"), name) for name in tensors]
    return from_names(TENSORFLOW, names, tensors, path)


def _read_pytorch(path: Path) -> Weights:
    tree = read_torch(path)
    note = tree.pop(KEY, None) if isinstance(tree, dict) else None
    state, set_aside = _state_dict(tree, path)
    weights = from_state_dict(state, path)
    weights.set_aside = set_aside
    if isinstance(note, Mapping):
        weights.take(metadata_from(note, path))
    return weights


def _read_hugging_face(path: Path) -> Weights:
    if path.is_file():
        return from_state_dict(read_safetensors(path), path)
    if (path / "model.safetensors").is_file():
        tensors = read_safetensors(path / "model.safetensors")
    elif (path / INDEX).is_file():
        tensors = read_sharded(path)
    else:
        tensors, _ = _state_dict(read_torch(path / "pytorch_model.bin"), path)
    weights = from_state_dict(tensors, path)
    hugging_face.read_config(path, weights)
    return weights


def _read_keras(path: Path) -> Weights:
    file = read_keras_archive(path, KERAS_NOTE)
    weights = own_weights(file.arrays, architecture_from(file.architecture, path), path, "Keras")
    weights.set_aside = file.set_aside
    if file.note is not None:
        weights.take(metadata_from(file.note, path))
    return weights


def _read_run(path: Path) -> Weights:
    from mae.checkpoints.run import read_run

    return read_run(path)


_READERS: Mapping[str, Callable[[Path], Weights]] = {
    "keras_h5": _read_keras_h5,
    "saved_model": _read_saved_model,
    "zip_saved_model": _read_zipped_saved_model,
    "tf_checkpoint": _read_tf_checkpoint,
    "pytorch": _read_pytorch,
    "huggingface": _read_hugging_face,
    "keras": _read_keras,
    "run": _read_run,
}


def from_keras_names(tensors: Iterable[tuple[str, np.ndarray]], source: Path, format: str) -> Weights:
    """Weights from the ordered tensors of a Keras 2 file."""
    tensors = list(tensors)
    weights = Weights(source, format, {}, their_name=keras_names.their_name)
    for (name, array), ours in zip(tensors, keras_names.our_names(name for name, _ in tensors), strict=True):
        _place(weights, name, ours, array)
    return weights


def from_names(
    table: NameTable, names: Iterable[tuple[str, str]], tensors: dict[str, np.ndarray], source: Path
) -> Weights:
    """Weights of a format with unique names, not laid out yet; `names` are pairs of the table's and the file's.

    `tensors` is emptied, so that memory holds nothing twice.
    """
    weights = Weights(source, table.title, {}, their_name=table.theirs)
    for name, original in names:
        _place(weights, original, table.ours(name), tensors.pop(original))
    return weights


def from_state_dict(state: dict[str, np.ndarray], source: Path) -> Weights:
    """Weights from the names and layouts of D or of E, whichever explains more of the tensors; empties `state`."""
    candidates = [(PYTORCH, _released_names(state)), (HUGGING_FACE, _prefixed_names(state))]
    known = [sum(table.ours(name) is not None for name, _ in names) for table, names in candidates]
    table, names = candidates[int(np.argmax(known))]
    weights = from_names(table, names, state, source)
    weights.arrays = {path: from_pytorch(path, array) for path, array in weights.arrays.items()}
    fuse_qkv(weights.arrays)
    if table is HUGGING_FACE:
        hugging_face.use_defaults(weights)
    return weights


def _place(weights: Weights, name: str, ours: str | None, array: np.ndarray) -> None:
    if ours is None or ours in weights.arrays:
        weights.unknown.append(name)
    else:
        weights.arrays[ours] = array
        weights.names[ours] = name


def _released_names(state: Iterable[str]) -> list[tuple[str, str]]:
    """Names of D without what wrappers put around them, each with the name in the file."""
    names = []
    for original in state:
        name = original.replace("_orig_mod.", "")
        while name.startswith("module."):
            name = name.removeprefix("module.")
        name = "encoder." + name.removeprefix("backbone.") if name.startswith("backbone.") else name
        names.append((_with_encoder(name, "."), original))
    return names


def _with_encoder(name: str, separator: str) -> str:
    parts = tuple(part.replace(".", separator) for part in _ENCODER_PARTS)
    return f"encoder{separator}{name}" if name.startswith(parts) else name


def _prefixed_names(state: Iterable[str]) -> list[tuple[str, str]]:
    """Names of E, those of a bare encoder given its prefix, each with the name in the file."""
    bare = ("embeddings.", "encoder.layer.", "layernorm.")
    return [(f"videomae.{name}" if name.startswith(bare) else name, name) for name in state]


def _state_dict(tree: Any, path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The tensors of a PyTorch file, out of the dict that wraps them, and the names of the rest."""
    set_aside: list[str] = []
    for _ in range(_MAX_WRAPPERS):
        if not isinstance(tree, Mapping):
            break
        check_count(path, len(tree), "entries in one table")
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


def _entry_name(name: Any) -> str:
    """What a message calls an entry that is no tensor."""
    return name[:MAX_NAME] if isinstance(name, str) and name.isprintable() else shown(name)
