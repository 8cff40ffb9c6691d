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


def filled(model, golden):
    theirs = {name.removeprefix("weights/"): value for name, value in golden.items() if name.startswith("weights/")}
    ours = from_hugging_face(theirs)
    for variable in model.trainable_variables:
        variable.assign(ours[variable.path.split("/", 1)[1]])
    return model


def difference(made, expected):
    return float(np.abs(keras.ops.convert_to_numpy(made) - expected).max())


pretraining = dict(np.load(FOLDER / "pretraining.npz"))
model = filled(build_pretrainer("vit_tiny", **SIZES), pretraining)
model.decoder.norm.epsilon = 1e-5  # theirs, whatever the config says
inputs = pretraining["videos"], pretraining["is_masked"]
errors = {
    "prediction": difference(model(*inputs), pretraining["logits"]),
    "loss": difference(pretraining_loss(model, *inputs), pretraining["loss"]),
}
classification = dict(np.load(FOLDER / "classification.npz"))
classifier = filled(build_classifier("vit_tiny", num_classes=5, **SIZES), classification)
classifier.fc_norm.epsilon = 1e-5
errors["logits"] = difference(classifier(classification["videos"]), classification["logits"])
print(keras.backend.backend(), "with" if "tensorflow" in sys.modules else "without", "TensorFlow:", errors)
sys.exit(any(error > 1e-5 for error in errors.values()))
