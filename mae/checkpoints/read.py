"""Any checkpoint as `Weights`: the format is found from the content, never from the extension."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from mae.checkpoints import hugging_face, keras_names
from mae.checkpoints.containers.archives import unpacked
from mae.checkpoints.containers.identify import identify
from mae.checkpoints.containers.keras_archive import read_keras_archive
from mae.checkpoints.containers.keras_h5 import read_keras_h5
from mae.checkpoints.containers.safetensors_file import read_safetensors
from mae.checkpoints.containers.sharded import SAFETENSORS_INDEX, TORCH_INDEX, read_sharded
from mae.checkpoints.containers.tensorflow_bundle import read_saved_model, read_tf_checkpoint
from mae.checkpoints.containers.torch_zip import read_torch
from mae.checkpoints.metadata import KERAS_NOTE, KEY, architecture_from, metadata_from, task_from
from mae.checkpoints.names import TENSORFLOW
from mae.checkpoints.saved_model import read_extra
from mae.checkpoints.state_dict import from_names, from_state_dict, state_dict, with_encoder
from mae.checkpoints.weights import Weights, own_weights
from mae.errors import ConfigError


def read_weights(path: str | Path, inflate: bool = False) -> Weights:
    """Reads a file or folder of any format.

    Args:
        inflate: it holds an MAE of images, whose encoder becomes one of videos; see `mae.checkpoints.image_mae`.

    Raises:
        ConfigError: nothing there, damaged, of no known format, or with `inflate` anything but an MAE of images.
    """
    path = Path(path)
    try:
        read = _READERS[identify(path)]
        if inflate and read not in _OF_STATE_DICTS:
            raise ConfigError(f"inflate=true is for an MAE of images as PyTorch saves it, which {path} is not")
        weights = read(path, inflate=True) if inflate else read(path)
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
    names = [(with_encoder(re.sub(r"([qv]_bias)_id\w*$", r"\1", name), "/"), name) for name in tensors]
    return from_names(TENSORFLOW, names, tensors, path)


def _read_pytorch(path: Path, inflate: bool = False) -> Weights:
    tree = read_torch(path)
    note = tree.pop(KEY, None) if isinstance(tree, dict) else None
    state, set_aside = state_dict(tree, path)
    weights = from_state_dict(state, path, inflate)
    weights.set_aside = set_aside + weights.set_aside
    if isinstance(note, Mapping):
        weights.take(metadata_from(note, path))
    return weights


def _read_hugging_face(path: Path, inflate: bool = False) -> Weights:
    if path.is_file():
        return from_state_dict(read_safetensors(path), path, inflate)
    if (path / "model.safetensors").is_file():
        tensors = read_safetensors(path / "model.safetensors")
    elif (path / SAFETENSORS_INDEX).is_file():
        tensors = read_sharded(path / SAFETENSORS_INDEX, read_safetensors)
    elif (path / "pytorch_model.bin").is_file():
        tensors = _torch_tensors(path / "pytorch_model.bin")
    else:
        tensors = read_sharded(path / TORCH_INDEX, _torch_tensors)
    weights = from_state_dict(tensors, path, inflate)
    hugging_face.read_config(path, weights, inflate)
    return weights


def _torch_tensors(path: Path) -> dict[str, np.ndarray]:
    return state_dict(read_torch(path), path)[0]


def _read_keras(path: Path) -> Weights:
    file = read_keras_archive(path, KERAS_NOTE)
    weights = own_weights(file.arrays, architecture_from(file.architecture, path), path, "Keras")
    weights.set_aside = file.set_aside
    weights.task = task_from({"task": file.task}, path)
    if file.note is not None:
        weights.take(metadata_from(file.note, path))
    return weights


def _read_run(path: Path) -> Weights:
    from mae.checkpoints.run import read_run

    return read_run(path)


_OF_STATE_DICTS = (_read_pytorch, _read_hugging_face)
_READERS: Mapping[str, Callable[..., Weights]] = {
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
        weights.place(name, ours, array)
    return weights
