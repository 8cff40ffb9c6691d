"""A model as an ONNX file, for runtimes that know neither Keras nor TensorFlow."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras

from mae.checkpoints.metadata import KEY, Metadata
from mae.checkpoints.preprocessor import preprocessor_for
from mae.checkpoints.weights import model_kind
from mae.cli.commands import to_install
from mae.errors import ConfigError
from mae.models.video_encoder import VideoEncoder
from mae.models.whole_model import copy_weights
from mae.options import MULTILABEL, REGRESSION

_ONE = "one"  # the name of a constant in the file
_MAX_BYTES = (1 << 31) - (1 << 24)  # of a file: protobuf's limit, and room for what is no weight


def write_onnx(model: Any, path: Path, metadata: Metadata, video_size: Sequence[int] | None) -> None:
    """Writes `model`, with `videos` (b, T, H, W, c) uint8 as its input, any b, in float32.

    A classifier gives `probabilities` (b, classes), one of numbers `values` (b, numbers), a pre-trained model and
    an encoder `features` (b, n, d), all tokens seen. The metadata of the file hold what is told, as JSON under
    `mae_video`.

    Args:
        video_size: height and width of the frames, which are resized and cut; None: those of the model.

    Raises:
        ConfigError: a package is missing, another backend than TensorFlow, or more weights than such a file holds.
    """
    onnx = _needed()
    if keras.config.backend() != "tensorflow":
        raise ConfigError("an ONNX file is written with TensorFlow as Keras' backend: set KERAS_BACKEND=tensorflow")
    twin, output = _computed_plainly(model)
    if (size := 4 * twin.count_params()) > _MAX_BYTES:
        raise ConfigError(f"its weights take {size} bytes, an ONNX file holds {_MAX_BYTES}: write it as savedmodel")
    a = model.architecture
    height, width = video_size or a.picture_size
    videos = keras.Input((a.num_frames, height, width, a.in_channels), dtype="uint8", name="videos")
    ready = videos if video_size is None else preprocessor_for(a, metadata.training)(videos)
    made = twin(ready)
    if output == "probabilities":
        made = keras.layers.Activation("sigmoid" if model.task == MULTILABEL else "softmax")(made)
    with _quietly():
        served = keras.Model(videos, made)
        served.export(str(path), format="onnx", verbose=False, input_signature=[videos])
    proto = onnx.load(str(path))
    _spell_out_erfc(onnx, proto.graph)
    _rename(proto.graph, proto.graph.output[0].name, output)
    onnx.helper.set_model_props(proto, {KEY: metadata.as_text(), "licence": metadata.training.licence or ""})
    onnx.checker.check_model(proto)
    onnx.save(proto, str(path))


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the translator says: of NumPy's names, of how graphs are frozen, of erfc."""
    translator = logging.getLogger("tf2onnx")
    level = translator.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        translator.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            translator.setLevel(level)


def _needed() -> Any:
    """The module `onnx`; raises `ConfigError` where it, or what translates TensorFlow's graphs, is not installed."""
    try:
        import onnx
        import tf2onnx  # noqa: F401  # Keras imports it
    except ModuleNotFoundError as error:
        if error.name not in ("onnx", "tf2onnx"):
            raise
        raise ConfigError(f"writing ONNX needs {error.name}, which is not installed: {to_install('onnx')}") from error
    return onnx


def _computed_plainly(model: Any) -> tuple[Any, str]:
    """The same model in operations that ONNX has, without loops and gradients of our own; and what its output is."""
    plain = asdict(replace(model.architecture, attention="plain", lean=False, remat="none"))
    if model_kind(model) == "classifier":
        twin = type(model).from_config({**model.get_config(), "architecture": plain, "dtype": "float32"})
        twin.build_whole()
        copy_weights(model, twin)
        return twin, "values" if model.task == REGRESSION else "probabilities"
    twin = VideoEncoder(plain, final_norm=model.encoder.norm is not None, dtype="float32", name="video_encoder")
    twin.build_whole()
    copy_weights(model.encoder, twin.encoder)
    return twin, "features"


def _spell_out_erfc(onnx: Any, graph: Any) -> None:
    """1 - erf for erfc, which TensorFlow's exact GELU has and ONNX does not."""
    nodes = []
    for node in graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        erf = f"{node.output[0]}_erf"
        nodes += [
            onnx.helper.make_node("Erf", list(node.input), [erf], name=f"{node.name}_erf"),
            onnx.helper.make_node("Sub", [_ONE, erf], list(node.output), name=node.name),
        ]
    if len(nodes) > len(graph.node):
        graph.initializer.append(onnx.helper.make_tensor(_ONE, onnx.TensorProto.FLOAT, (), [1.0]))
    del graph.node[:]
    graph.node.extend(nodes)


def _rename(graph: Any, before: str, after: str) -> None:
    """A tensor of a graph wherever it is named."""
    for node in graph.node:
        for names in (node.input, node.output):
            for number, name in enumerate(names):
                if name == before:
                    names[number] = after
    for told in graph.output:
        if told.name == before:
            told.name = after
