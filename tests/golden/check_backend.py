"""The golden numbers under another Keras backend; run by hand where PyTorch or JAX is installed beside this project:

KERAS_BACKEND=torch python tests/golden/check_backend.py
"""

import sys
from pathlib import Path

import keras
import numpy as np
from hugging_face import from_hugging_face

from mae.models.classifier import build_classifier
from mae.models.pretrainer import build_pretrainer, pretraining_loss

FOLDER = Path(__file__).parent
SIZES = {
    "image_size": 32, "num_frames": 4, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3,
    "positions": "sincos", "decoder_embed_dim": 12, "decoder_depth": 2, "decoder_num_heads": 3,
}  # fmt: skip


def part(golden, prefix):
    return from_hugging_face({n.removeprefix(prefix): value for n, value in golden.items() if n.startswith(prefix)})


def path(variable):
    return variable.path.split("/", 1)[1]


def filled(model, golden):
    ours = part(golden, "weights/")
    for variable in model.trainable_variables:
        variable.assign(ours[path(variable)])
    return model


def difference(made, expected):
    return float(np.abs(keras.ops.convert_to_numpy(made) - expected).max())


def gradients(model, loss):
    """Of `loss()` for each of the model's trainable variables."""
    if keras.backend.backend() == "torch":
        loss().backward()
        return [variable.value.grad for variable in model.trainable_variables]
    if keras.backend.backend() == "jax":
        import jax

        def of_values(values):
            with keras.StatelessScope(zip(model.trainable_variables, values, strict=True)):
                return loss()

        return jax.grad(of_values)([variable.value for variable in model.trainable_variables])
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss()
    made = tape.gradient(value, [variable.value for variable in model.trainable_variables])
    return [tf.convert_to_tensor(gradient) for gradient in made]


pretraining = dict(np.load(FOLDER / "pretraining.npz"))
model = filled(build_pretrainer("vit_tiny", **SIZES), pretraining)
model.decoder.norm.epsilon = 1e-5  # theirs, whatever the config says
inputs = pretraining["videos"], pretraining["is_masked"]
expected = part(pretraining, "gradients/")
made = gradients(model, lambda: pretraining_loss(model, *inputs))
errors = {
    "prediction": difference(model(*inputs), pretraining["logits"]),
    "loss": difference(pretraining_loss(model, *inputs), pretraining["loss"]),
    "gradients": max(
        difference(gradient, expected[path(variable)]) / np.abs(expected[path(variable)]).max()
        for variable, gradient in zip(model.trainable_variables, made, strict=True)
    ),
}
classification = dict(np.load(FOLDER / "classification.npz"))
classifier = filled(build_classifier("vit_tiny", num_classes=5, **SIZES), classification)
classifier.fc_norm.epsilon = 1e-5
errors["logits"] = difference(classifier(classification["videos"]), classification["logits"])
print(keras.backend.backend(), {name: f"{error:.1e}" for name, error in errors.items()})
sys.exit(any(error > 1e-5 for error in errors.values()))
