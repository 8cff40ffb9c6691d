"""Weight files of Keras 2 in HDF5 (`model.save_weights("x.h5")`), which Keras 3 does not read.

A root attribute `layer_names` lists one group per layer; the attribute `weight_names` of a group lists its datasets
in order. `top_level_model_weights` holds variables of the model itself and is in no list. HDF5 limits a header to
64 KB: longer attributes are split into `weight_names0`, `weight_names1`, …
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from mae.checkpoints.containers.hdf5 import HDF5, read_hdf5
from mae.checkpoints.schema import check_count, check_name
from mae.errors import ConfigError, some
from mae.files import replacing

TOP_LEVEL = "top_level_model_weights"
Groups = Mapping[str, Sequence[tuple[str, np.ndarray]]]
_ATTRIBUTE_LIMIT = 64512  # bytes, as Keras has it
_PIECE = 32000  # characters of a long text that are kept together


@dataclass(frozen=True)
class KerasH5:
    """What a file holds."""

    # Per layer, in the order of `layer_names`, its weights as (name, array) in theirs; layers without any have an empty
    # list. `top_level_model_weights` comes last, where it has any.
    layers: dict[str, list[tuple[str, np.ndarray]]]
    notes: dict[str, str]  # texts that `write_keras_h5` wrote, by name


def read_keras_h5(path: str | Path, notes: Sequence[str] = ()) -> KerasH5:
    """Reads a file of weights, or of a whole model (`model.save("x.h5")`), with its groups under `model_weights`.

    Args:
        notes: names of texts to read as well, where the file has them.

    Raises:
        ConfigError: missing, truncated, or another kind of HDF5 file, saying which. HDF5 has no checksums here: a
            changed byte within a weight cannot be noticed.
    """
    file = read_hdf5(path, ("layer_names", "weight_names", *notes))
    top = _top(file)
    names = file.groups[top]["layer_names"]
    check_count(path, len(names), "layers")
    if len(set(names)) < len(names):
        raise ConfigError(f"{path} lists a layer twice")
    if TOP_LEVEL not in names and _inner(top, TOP_LEVEL) in file.groups:
        names = [*names, TOP_LEVEL]
    # All names before any array: a weight may be listed any number of times.
    listed = {name: _weight_names(file, top, name) for name in names}
    every = [_inner(_inner(top, name), weight) for name, weights in listed.items() for weight in weights]
    check_count(path, len(every))
    if len(set(every)) < len(every):
        raise ConfigError(f"{path} lists a weight twice")
    layers = {
        name: [(weight, file.array(_inner(_inner(top, name), weight))) for weight in weights]
        for name, weights in listed.items()
        if weights or name != TOP_LEVEL
    }
    return KerasH5(layers, {name: "".join(file.groups[""][name]) for name in notes if file.groups[""].get(name)})


def _top(file: HDF5) -> str:
    """The group that carries `layer_names`: the file itself, or the one group in it that does.

    Raises:
        ConfigError: there is none, saying what the file looks like.
    """
    inside = sorted({path.split("/")[0] for path in (*file.groups, *file.places)} - {""})
    listing = [path for path in ("", *inside) if "layer_names" in file.groups.get(path, {})]
    if len(listing) == 1 or "" in listing:
        return listing[0]
    if "layers" in inside or "_layer_checkpoint_dependencies" in inside:
        kind = "the weights of a Keras 3 model (.weights.h5), which only the same model class can read"
    else:
        kind = f"an HDF5 file with {some([name[:80] for name in inside], 5, none='nothing')} in it"
    raise ConfigError(f"{file.path} looks like {kind}; expected Keras 2 weights, with an attribute layer_names")


def _weight_names(file: HDF5, top: str, layer: str) -> Sequence[str]:
    path = _inner(top, check_name(file.path, layer))
    if path not in file.groups:
        if path in file.places:
            told = file.places[path].get("refused", "an array")
            raise ConfigError(f"{file.path}: {layer!r} is {told}; expected the weights of a layer")
        raise ConfigError(f"{file.path} has no {layer!r}, which its list of layers names: damaged")
    if "weight_names" not in file.groups[path]:
        raise ConfigError(f"{file.path}: the layer {layer!r} has no attribute weight_names")
    return [check_name(file.path, name) for name in file.groups[path]["weight_names"]]


def _inner(group: str, name: str) -> str:
    """The path of what a group calls by a name, which may be a path itself."""
    return "/".join(part for part in (*group.split("/"), *name.split("/")) if part)


def write_keras_h5(
    path: str | Path, groups: Groups, keras_version: str = "2.12.0", notes: Mapping[str, str] | None = None
) -> None:
    """Writes layers of (name, array) weights as Keras 2 does; in place of an earlier file only when complete.

    `groups` is in the order of `layer_names`; `top_level_model_weights` is written empty where it is not given.
    `notes` are texts in ASCII that become attributes of the file, which Keras leaves alone.
    """
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        _put_list(file, "layer_names", [name for name in groups if name != TOP_LEVEL])
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = keras_version.encode()
        for name, text in (notes or {}).items():
            _put_list(file, name, [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)])
        # Keras makes the groups in the order of their names.
        for name in [*sorted(name for name in groups if name != TOP_LEVEL), TOP_LEVEL]:
            layer = file.create_group(name)
            weights = groups.get(name, ())
            _put_list(layer, "weight_names", [weight for weight, _ in weights])
            for weight, array in weights:
                layer.create_dataset(weight, data=array)


def _put_list(group: h5py.Group, name: str, texts: list[str]) -> None:
    """Stores names as Keras does: bytes in one attribute, or in numbered ones where they are too long for one."""
    encoded = [text.encode("utf-8") for text in texts]
    data = np.asarray(encoded)
    if data.itemsize > _ATTRIBUTE_LIMIT:
        raise ConfigError(f"a name of {data.itemsize} bytes in {name}; HDF5 stores at most {_ATTRIBUTE_LIMIT}")
    count = 1
    while any(part.nbytes > _ATTRIBUTE_LIMIT for part in np.array_split(data, count)):
        count += 1
    if count == 1:
        group.attrs[name] = encoded
        return
    for index, part in enumerate(np.array_split(data, count)):
        group.attrs[f"{name}{index}"] = part
