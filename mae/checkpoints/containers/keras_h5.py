"""Weight files of Keras 2 in HDF5 (`model.save_weights("x.h5")`), which Keras 3 does not read.

A root attribute `layer_names` lists one group per layer; the attribute `weight_names` of a group lists its datasets
in order. `top_level_model_weights` holds variables of the model itself and is in no list. HDF5 limits a header to
64 KB: longer attributes are split into `weight_names0`, `weight_names1`, …
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from mae.errors import ConfigError
from mae.files import replacing

TOP_LEVEL = "top_level_model_weights"
Groups = Mapping[str, Sequence[tuple[str, np.ndarray]]]
_ATTRIBUTE_LIMIT = 64512  # bytes, as Keras has it
_PIECE = 32000  # characters of a long text that are kept together
_MAX_RATIO = 1000  # bytes read to bytes stored
_DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError, AttributeError)


def read_keras_h5(path: str | Path) -> dict[str, list[tuple[str, np.ndarray]]]:
    """Per layer, in the order of `layer_names`, its weights as (name, array) in theirs.

    Layers without weights have an empty list. `top_level_model_weights` comes last, where it has any. A file of a
    whole model (`model.save("x.h5")`), with these groups under `model_weights`, is read as well.

    Raises:
        ConfigError: missing, truncated, or another kind of HDF5 file, saying which. HDF5 has no checksums here: a
            changed byte within a weight cannot be noticed.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no file at {path}")
    try:
        with h5py.File(path, "r") as file:
            group = weights_group(path, file)
            names = _text_list(group, "layer_names")
            layers = {name: _layer(path, group, name) for name in names}
            if TOP_LEVEL in group and TOP_LEVEL not in layers and (weights := _layer(path, group, TOP_LEVEL)):
                layers[TOP_LEVEL] = weights
    except ConfigError:
        raise
    except _DAMAGE as error:
        raise ConfigError(f"{path} is damaged or no HDF5 file ({error}); fetch it again") from error
    if len(layers) < len(names):
        raise ConfigError(f"{path} lists a layer twice")
    return layers


def weights_group(path: Path, file: h5py.File) -> h5py.Group:
    """The group that carries `layer_names`: the file itself, or the one group in it that does.

    Raises:
        ConfigError: there is none, saying what the file looks like.
    """
    groups = [file, *(_own(path, file, name) for name in file)]
    groups = [group for group in groups if isinstance(group, h5py.Group)]
    listing = [group for group in groups if "layer_names" in group.attrs or "layer_names0" in group.attrs]
    if len(listing) == 1 or (listing and listing[0] is file):
        return listing[0]
    if "layers" in file or "_layer_checkpoint_dependencies" in file:
        kind = "the weights of a Keras 3 model (.weights.h5), which only the same model class can read"
    else:
        kind = f"an HDF5 file with {', '.join(list(file)[:5]) or 'nothing'} in it"
    raise ConfigError(f"{path} looks like {kind}; expected Keras 2 weights, with an attribute layer_names")


def read_note(path: str | Path, name: str) -> str | None:
    """The text that `write_keras_h5` wrote under this name; None: there is none.

    Raises:
        ConfigError: missing or damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            return "".join(_text_list(file, name)) or None
    except _DAMAGE as error:
        raise ConfigError(f"{path} is damaged or no HDF5 file ({error}); fetch it again") from error


def _layer(path: Path, group: h5py.Group, name: str) -> list[tuple[str, np.ndarray]]:
    layer = _own(path, group, name)
    if not isinstance(layer, h5py.Group):
        raise ConfigError(f"{path}: {name!r} is no group; expected the weights of a layer")
    if "weight_names" not in layer.attrs and "weight_names0" not in layer.attrs:
        raise ConfigError(f"{path}: the layer {name!r} has no attribute weight_names")
    return [(weight, _array(path, layer, weight)) for weight in _text_list(layer, "weight_names")]


def _array(path: Path, layer: h5py.Group, name: str) -> np.ndarray:
    node = layer
    for part in name.strip("/").split("/"):
        node = _own(path, node, part)
    if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "fiub":
        raise ConfigError(f"{path}: {layer.name}/{name} is no array of numbers")
    if node.external or node.is_virtual:
        raise ConfigError(f"{path}: {layer.name}/{name} lies in another file; expected it in this one")
    if node.nbytes > _MAX_RATIO * max(node.id.get_storage_size(), 1):
        raise ConfigError(f"{path}: {layer.name}/{name} declares {node.nbytes} bytes and stores hardly any")
    array = np.empty(node.shape, node.dtype)
    if array.size:
        node.read_direct(array)  # straight into it: `node[()]` takes twice as long
    return array


def _own(path: Path, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """A member of a group, unless it is a link to somewhere else, such as another file."""
    link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
    if link is None:
        raise ConfigError(f"{path} has no {name!r} in {group.name}, which its lists name: damaged")
    if not isinstance(link, h5py.HardLink):
        raise ConfigError(f"{path}: {name!r} in {group.name} is a link; expected the data itself")
    return group[name]


def _text_list(group: h5py.Group, name: str) -> list[str]:
    """A list of names, from one attribute or from its numbered parts, of bytes or text."""
    if name in group.attrs:
        parts = [group.attrs[name]]
    else:
        parts, index = [], 0
        while f"{name}{index}" in group.attrs:
            parts.append(group.attrs[f"{name}{index}"])
            index += 1
    texts = [text for part in parts for text in np.asarray(part).reshape(-1).tolist()]
    return [text.decode("utf-8") if isinstance(text, bytes) else str(text) for text in texts]


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
