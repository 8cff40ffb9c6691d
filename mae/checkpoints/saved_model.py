"""A SavedModel that serves videos with nothing but TensorFlow, and that this project reads back."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mae.checkpoints.metadata import Metadata, metadata_from
from mae.checkpoints.preprocessor import preprocessor_for
from mae.checkpoints.schema import read_json
from mae.checkpoints.tensorflow_needed import tensorflow_for
from mae.checkpoints.weights import model_kind
from mae.options import MULTILABEL, REGRESSION
from mae.patches import normalise, patchify
from mae.presets import Architecture

_METADATA = Path("assets.extra") / "architecture.json"  # the folder TensorFlow leaves to others


def write_saved_model(model: Any, folder: Path, metadata: Metadata, video_size: Sequence[int] | None) -> None:
    """Writes `model` with the signature `serving_default`.

    It takes `videos` (b, T, H, W, c) uint8, any b, and normalises them. A classifier answers `probabilities`
    (b, classes) float32 and `labels` (b,), the name of the likeliest class; one of several labels answers their
    `probabilities`, one of numbers `values` (b, numbers); `class_names`, a signature without arguments, gives all names
    in order. Pre-trained models and encoders answer `features` (b, n, d), all tokens seen.

    Args:
        video_size: height and width of the frames, which are resized and cut; None: those of the model.
    """
    tf = tensorflow_for("writing a SavedModel")
    a: Architecture = model.architecture
    height, width = video_size or a.picture_size
    served = tf.TensorSpec((None, a.num_frames, height, width, a.in_channels), tf.uint8, name="videos")
    resized: Any = preprocessor_for(a, metadata.training) if video_size else lambda videos: videos
    is_classifier = model_kind(model) == "classifier"
    names = [metadata.id2label.get(i, str(i)) for i in range(model.num_classes)] if is_classifier else []

    @tf.function(input_signature=[served], autograph=False)
    def classify(videos: Any) -> dict[str, Any]:
        outputs = tf.cast(model(resized(videos), training=False), tf.float32)
        if model.task == REGRESSION:
            return {"values": outputs}
        if model.task == MULTILABEL:
            return {"probabilities": tf.nn.sigmoid(outputs)}
        probabilities = tf.nn.softmax(outputs)
        return {"probabilities": probabilities, "labels": tf.gather(tf.constant(names), tf.argmax(probabilities, 1))}

    @tf.function(input_signature=[served], autograph=False)
    def encode(videos: Any) -> dict[str, Any]:
        patches = patchify(normalise(resized(videos), a.statistics), a.tubelet)
        return {"features": tf.cast(model.encoder(patches, training=False), tf.float32)}

    @tf.function(input_signature=[], autograph=False)
    def class_names() -> dict[str, Any]:
        return {"names": tf.constant(names)}

    signatures = {"serving_default": classify if is_classifier else encode}
    if is_classifier:
        signatures["class_names"] = class_names
    root = tf.train.Checkpoint()
    # A list, so that the reader of the released SavedModels reads these as well: variables/<n>.
    root.variables = [variable.value for variable in model.variables]
    tf.saved_model.save(root, str(folder), signatures=signatures)
    path = folder / _METADATA
    path.parent.mkdir(exist_ok=True)
    path.write_text(metadata.as_text())


def read_extra(folder: Path) -> Metadata | None:
    """What a SavedModel of this project says of its model; None: it is not one.

    Raises:
        ConfigError: damaged.
    """
    path = folder / _METADATA
    if not path.is_file():
        return None
    metadata = metadata_from(read_json(path), path)
    # An earlier version wrote the numbers of classes that nobody named.
    named = any(name != str(number) for number, name in metadata.id2label.items())
    return metadata if named else replace(metadata, id2label={})
