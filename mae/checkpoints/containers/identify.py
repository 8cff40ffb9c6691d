"""Which kind of checkpoint a path holds, from its content and never from its extension."""

import zipfile
from pathlib import Path

from mae.checkpoints.containers.hdf5 import SIGNATURE
from mae.checkpoints.containers.sharded import SAFETENSORS_INDEX, TORCH_INDEX
from mae.checkpoints.containers.sorted_table import MAGIC
from mae.checkpoints.containers.tensorflow_bundle import checkpoint_prefix
from mae.checkpoints.containers.torch_legacy import is_legacy
from mae.checkpoints.containers.zip_guard import open_zip
from mae.errors import ConfigError, shown, some

FORMATS = {
    "run": "a run directory of this project, or one of its checkpoints",
    "keras": "a .keras file of Keras 3",
    "keras_h5": "Keras 2 weights in HDF5",
    "saved_model": "a SavedModel folder",
    "zip_saved_model": "a zip of one",
    "tf_checkpoint": "a TensorFlow checkpoint (its common name, or NAME.index)",
    "pytorch": "a file of torch.save",
    "huggingface": "a safetensors file, or a folder with config.json and model.safetensors or pytorch_model.bin, in "
    "one file or several",
}
_SHOWN = 8  # names of what was found instead
_HUGGING_FACE = ("model.safetensors", SAFETENSORS_INDEX, "pytorch_model.bin", TORCH_INDEX)


def identify(path: str | Path) -> str:
    """One of the names in `FORMATS`.

    `tf_checkpoint` is also the answer for a common name `NAME` where only `NAME.index` exists, for a data file beside
    its index, and for a folder with one checkpoint in it.

    Raises:
        ConfigError: nothing there, or none of these, with what was looked at.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _folder(path)
        if path.is_file():
            return _file(path)
        if _is_index(path.with_name(f"{path.name}.index")):
            return "tf_checkpoint"
    except OSError as error:  # as for a name that is too long, or a file of somebody else's
        raise ConfigError(f"no checkpoint can be read at {shown(str(path))} ({error.strerror})") from error
    raise ConfigError(f"no checkpoint at {path}: no such file or folder, and no {path.name}.index")


def _folder(path: Path) -> str:
    if (path / "saved_model.pb").is_file():
        return "saved_model"
    if (path / "config.json").is_file() and any((path / name).is_file() for name in _HUGGING_FACE):
        return "huggingface"
    for folder in (path / "checkpoints", path):
        files = sorted(folder.glob("step_*.npz"))
        if files and _file(files[-1]) == "run":
            return "run"
    if len(indices := list(path.glob("*.index"))) == 1 and _is_index(indices[0]):
        return "tf_checkpoint"
    names = sorted(entry.name for entry in path.iterdir())
    raise _unknown(path, f"a folder with {some(names, _SHOWN, none='nothing')}")


def _file(path: Path) -> str:
    with open(path, "rb") as file:
        start = file.read(64)
    if start.startswith(SIGNATURE):
        return "keras_h5"
    if start.startswith(b"PK"):
        with open_zip(path) as archive:
            return _zip(path, archive)
    if is_legacy(start):
        return "pytorch"
    # A safetensors file is the length of its JSON header, then the header.
    if 2 <= int.from_bytes(start[:8], "little") <= path.stat().st_size - 8 and start[8:9] == b"{":
        return "huggingface"
    if _is_index(path) or _is_shard(path):
        return "tf_checkpoint"
    raise _unknown(path, f"a file that starts with {start[:16]!r}" if start else "an empty file")


def _zip(path: Path, archive: zipfile.ZipFile) -> str:
    names = archive.namelist()
    bases = [name.rpartition("/")[2] for name in names]
    if "__meta__.npy" in names:
        return "run"
    if {"metadata.json", "config.json", "model.weights.h5"} <= set(names):
        return "keras"
    if "data.pkl" in bases:
        return "pytorch"
    if bases.count("saved_model.pb") == 1:
        return "zip_saved_model"
    raise _unknown(path, f"a zip with {some(names, _SHOWN, none='nothing')}")


def _is_index(path: Path) -> bool:
    """Whether a file is the index of a TensorFlow checkpoint."""
    if not path.is_file() or path.stat().st_size < len(MAGIC):
        return False
    with open(path, "rb") as file:
        file.seek(-len(MAGIC), 2)
        return file.read() == MAGIC


def _is_shard(path: Path) -> bool:
    """Whether a file is one of the data files of a TensorFlow checkpoint, which nothing inside them tells."""
    try:
        prefix = checkpoint_prefix(path)
    except ConfigError:
        return False
    return prefix != path and _is_index(prefix.with_name(f"{prefix.name}.index"))


def _unknown(path: Path, found: str) -> ConfigError:
    known = "; ".join(f"{name}: {text}" for name, text in FORMATS.items())
    return ConfigError(f"{path} is {found}, no checkpoint that is known. There are: {known}")
