"""A model into the format somebody else reads."""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mae.checkpoints import keras_names
from mae.checkpoints.card import model_card
from mae.checkpoints.containers.keras_h5 import write_keras_h5
from mae.checkpoints.containers.safetensors_file import write_safetensors
from mae.checkpoints.containers.torch_zip import write_torch
from mae.checkpoints.hugging_face import hugging_face_class, make_config
from mae.checkpoints.layouts import split_qkv, to_pytorch
from mae.checkpoints.metadata import KERAS_NOTE, KEY, Metadata, Training
from mae.checkpoints.names import HUGGING_FACE, PYTORCH, TABLES, NameTable
from mae.checkpoints.onnx_file import write_onnx
from mae.checkpoints.saved_model import write_saved_model
from mae.checkpoints.weights import model_kind, model_variables, weights_of
from mae.errors import ConfigError, check_choice
from mae.files import creating
from mae.models.positions import position_table
from mae.options import CLASSIFICATION
from mae.presets import Architecture


def save_checkpoint(
    model: Any,
    path: str | Path,
    format: str,
    id2label: Mapping[int, str] | None = None,
    training: Training | None = None,
    video_size: Sequence[int] | None = None,
) -> None:
    """Writes the weights of a model, and beside them what they belong to: sizes, clips and names of the classes.

    A folder gets a model card, `README.md`.

    Args:
        model: a `Pretrainer` or `Classifier`; for `keras`, `savedmodel` and `onnx` a `VideoEncoder` as well.
        path: a file, or for `huggingface` and `savedmodel` a folder; must not exist yet.
        format: `huggingface`, `pytorch`, `keras_h5`, `keras`, `savedmodel` or `onnx`.
        id2label: names of the classes.
        training: how the weights were trained, and their licence; `load_checkpoint` reports it.
        video_size: for `savedmodel` and `onnx`: height and width of the frames that will be given, which the model then
            resizes and cuts as `mae.VideoPreprocessor` does; None: frames are given in the model's own size.

    Raises:
        ConfigError: `path` exists, or the format cannot hold this model; nothing is left on disk.

    Example:
        >>> import mae, os, tempfile
        >>> path = tempfile.mkdtemp() + "/classifier.pth"
        >>> classifier = mae.build_classifier("vit_micro", num_classes=2, depth=1)
        >>> mae.save_checkpoint(classifier, path, "pytorch", id2label={0: "open", 1: "close"})
        >>> os.path.exists(path)
        True
    """
    check_choice("format", format, FORMATS)
    if model_kind(model) == "encoder" and format not in ENCODER_FORMATS:
        known = ", ".join(ENCODER_FORMATS)
        raise ConfigError(f"format={format} has no place for an encoder alone: write it as one of {known}")
    _check_video_size(video_size, format)
    task = model.task if model_kind(model) == "classifier" else CLASSIFICATION
    metadata = Metadata(_architecture(model), training or Training(), _checked_labels(model, id2label), task)
    with creating(Path(path)) as temporary:
        if format in _SERVED:
            _SERVED[format](model, temporary, metadata, video_size)
        else:
            _WRITERS[format](model, temporary, metadata)
        if temporary.is_dir():
            _write_card(model, temporary, metadata, format, video_size)


def _check_video_size(video_size: Sequence[int] | None, format: str) -> None:
    if video_size is None:
        return
    if format not in _SERVED:
        raise ConfigError(f"video_size= is for {' and '.join(_SERVED)}: format={format} keeps weights, and no resizing")
    if len(video_size) != 2 or min(video_size) < 1:
        raise ConfigError(f"video_size={list(video_size)} must be two numbers from 1, height and width of the frames")


def _write_card(model: Any, folder: Path, metadata: Metadata, format: str, video_size: Sequence[int] | None) -> None:
    a, kind = metadata.architecture, model_kind(model)
    height, width = video_size or a.picture_size
    clip = f"clips of {a.num_frames} frames, {height} × {width} pixels, {a.in_channels} channels"
    if format == "savedmodel":
        takes = f"{clip}: uint8 (b, {a.num_frames}, {height}, {width}, {a.in_channels}), normalised inside"
        use = 'served = tensorflow.saved_model.load(".").signatures["serving_default"]\nserved(videos=videos)'
    else:
        takes = f"{clip}, normalised by the mean and standard deviation below"
        use = f'transformers.{hugging_face_class(kind)}.from_pretrained(".")'
    (folder / "README.md").write_text(model_card(kind, metadata, takes, use))


def _write_hugging_face(model: Any, folder: Path, metadata: Metadata) -> None:
    arrays, kind = _arrays(model), model_kind(model)
    if any(path in arrays for path in TABLES):
        raise ConfigError(
            "transformers' VideoMAE has positions=sincos only, computed for its grid; this model has other tables "
            f"(positions={model.architecture.positions}): it would open there and compute something else"
        )
    folder.mkdir()
    tensors = _state_dict(HUGGING_FACE, split_qkv(arrays))
    write_safetensors(folder / "model.safetensors", tensors, {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(make_config(model, kind, metadata), indent=2) + "\n")


def _write_pytorch(model: Any, path: Path, metadata: Metadata) -> None:
    """The layout of the original release: under `model` what was pre-trained, under `module` what was fine-tuned."""
    is_pretrainer = model_kind(model) == "pretrainer"
    tensors = _state_dict(PYTORCH, _arrays(model))
    if not is_pretrainer:
        tensors = {name.removeprefix("encoder."): tensor for name, tensor in tensors.items()}
    write_torch(path, {"model" if is_pretrainer else "module": tensors, KEY: metadata.as_dict()})


def _write_keras_h5(model: Any, path: Path, metadata: Metadata) -> None:
    arrays = _arrays(model)
    ordered = {name: arrays[name] for name in keras_names.in_file_order(arrays)}
    write_keras_h5(path, keras_names.as_groups(ordered, model_kind(model)), notes={KEY: metadata.as_text()})


def _write_keras(model: Any, path: Path, metadata: Metadata) -> None:
    if path.suffix != ".keras":
        raise ConfigError("format keras wants a name that ends in .keras")
    model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(KERAS_NOTE, metadata.as_text())


_WRITERS: dict[str, Callable[[Any, Path, Metadata], None]] = {
    "huggingface": _write_hugging_face,
    "pytorch": _write_pytorch,
    "keras_h5": _write_keras_h5,
    "keras": _write_keras,
}
# What is to be called with videos, by programs that do not know this project.
_SERVED = {"savedmodel": write_saved_model, "onnx": write_onnx}
FORMATS = (*_WRITERS, *_SERVED)
ENCODER_FORMATS = ("keras", *_SERVED)


def _architecture(model: Any) -> Architecture:
    """That of the model, with the kind of positions that a reader has to compute where a table is left out."""
    return replace(model.architecture, positions="sincos") if _usual_tables(model) else model.architecture


def _arrays(model: Any) -> dict[str, np.ndarray]:
    """The weights by our names, in float32, the embedding of patches with its five axes.

    Position tables are among them unless they are the ones that every reader of the format computes: no reader then
    goes on with another table unnoticed.
    """
    usual = _usual_tables(model)
    arrays = weights_of(model, Path(), "model").arrays
    return {path: array.astype("float32", copy=False) for path, array in arrays.items() if path not in usual}


def _usual_tables(model: Any) -> list[str]:
    """The position tables that are those of the released models, whatever kind the model says it has."""
    variables, grid = model_variables(model), model.architecture.grid
    tables = {path: np.asarray(variables[path].numpy()) for path in TABLES if path in variables}
    return [
        path
        for path, table in tables.items()
        if np.allclose(table, position_table("sincos", grid, table.shape[-1]), atol=1e-6)
    ]


def _state_dict(table: NameTable, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    named = {path: table.theirs(path) for path in arrays}
    if homeless := [path for path, name in named.items() if name is None]:
        raise ConfigError(f"{table.title} has no place for {', '.join(homeless)}")
    return {name: to_pytorch(path, arrays[path]) for path, name in named.items() if name}


def _checked_labels(model: Any, id2label: Mapping[int, str] | None) -> dict[int, str]:
    if not id2label:
        return {}
    if model_kind(model) != "classifier":
        raise ConfigError("label names were given, and the model has no classes: it is no classifier")
    if sorted(id2label) != list(range(model.num_classes)):
        raise ConfigError(f"{len(id2label)} label names for {model.num_classes} classes: one for each of 0, 1, 2, …")
    return dict(id2label)
