"""A SavedModel that serves videos with nothing but TensorFlow, and that this project reads back."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mae.checkpoints.tensorflow_needed import tensorflow_for
from mae.checkpoints.weights import model_kind
from mae.errors import ConfigError
from mae.patches import normalise, patchify
from mae.presets import Architecture

_SIZES = Path("assets.extra") / "architecture.json"  # the folder TensorFlow leaves to others


def write_saved_model(model: Any, folder: Path, id2label: dict[int, str] | None) -> None:
    """Writes `model` with the signature `serving_default`.

    It takes `videos` (b, T, H, W, c) uint8, any b. A classifier answers `probabilities` (b, classes) float32 and
    `labels` (b,), the name of the likeliest class; `class_names`, a signature without arguments, gives all names in
    order. A pre-trained model answers `features` (b, n, d) of its encoder, all tokens seen.
    """
    tf = tensorflow_for("writing a SavedModel")
    a: Architecture = model.architecture
    served = tf.TensorSpec((None, a.num_frames, a.image_size, a.image_size, a.in_channels), tf.uint8, name="videos")
    is_classifier = model_kind(model) == "classifier"
    names = [(id2label or {}).get(i, str(i)) for i in range(model.num_classes)] if is_classifier else []

    def pixels(videos: Any) -> Any:
        return normalise(tf.cast(videos, tf.float32) / 255, a.in_channels)

    @tf.function(input_signature=[served])
    def classify(videos: Any) -> dict[str, Any]:
        probabilities = tf.nn.softmax(tf.cast(model(pixels(videos), training=False), tf.float32))
        return {"probabilities": probabilities, "labels": tf.gather(tf.constant(names), tf.argmax(probabilities, 1))}

    @tf.function(input_signature=[served])
    def encode(videos: Any) -> dict[str, Any]:
        patches = patchify(pixels(videos), a.tubelet)
        return {"features": tf.cast(model.encoder(patches, training=False), tf.float32)}

    @tf.function(input_signature=[])
    def class_names() -> dict[str, Any]:
        return {"names": tf.constant(names)}

    signatures = {"serving_default": classify if is_classifier else encode}
    if is_classifier:
        signatures["class_names"] = class_names
    root = tf.train.Checkpoint()
    # A list, so that the reader of the released SavedModels reads these as well: variables/<n>.
    root.variables = [variable.value for variable in model.variables]
    tf.saved_model.save(root, str(folder), signatures=signatures)
    sizes = folder / _SIZES
    sizes.parent.mkdir(exist_ok=True)
    sizes.write_text(json.dumps({"architecture": asdict(a), "id2label": dict(enumerate(names))}))


def read_extra(folder: Path) -> tuple[Architecture, dict[int, str]] | None:
    """Sizes and label names of a SavedModel of this project; None: it is not one."""
    path = folder / _SIZES
    if not path.is_file():
        return None
    try:
        extra = json.loads(path.read_text())
        return Architecture(**extra["architecture"]), {int(i): name for i, name in extra["id2label"].items()}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
