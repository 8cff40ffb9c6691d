"""Which backend Keras computes with, decided before anything is imported."""

import os
import subprocess
import sys

import pytest
from configured import configured

from mae.cli.backend import default_backend, load_backend
from mae.errors import ConfigError


def only(*names):
    return lambda name: name in names


def unloaded():
    """As where Keras is not imported yet."""
    return None


def test_the_default_is_tensorflow_unless_jax_alone_is_there():
    assert default_backend({}, only("tensorflow", "jax"), unloaded) == "tensorflow"
    assert default_backend({}, only("jax"), unloaded) == "jax"
    assert default_backend({}, only(), unloaded) == "tensorflow"
    assert default_backend({"KERAS_BACKEND": "jax"}, only("tensorflow", "jax"), unloaded) == "jax"


def test_keras_computes_with_what_it_was_imported_with():
    assert default_backend({"KERAS_BACKEND": "tensorflow"}, only("tensorflow"), lambda: "jax") == "jax"
    environment = {}
    load_backend("jax", environment, only("jax"), lambda: "jax")
    assert environment == {}
    told = "backend=tensorflow, but Keras computes with jax in this process: give backend=jax, or begin another process"
    with pytest.raises(ConfigError, match=f"^{told} with KERAS_BACKEND=tensorflow$"):
        load_backend("tensorflow", {}, only("jax", "tensorflow"), lambda: "jax")
    with pytest.raises(ConfigError, match=r"^the backend of Keras in this process, 'torch' does not exist. There are:"):
        default_backend({}, only("jax"), lambda: "torch")


def test_keras_is_told():
    environment = {}
    load_backend("jax", environment, only("jax"), unloaded)
    assert environment == {"KERAS_BACKEND": "jax"}
    load_backend(None, environment, only("jax"), unloaded)
    assert environment == {"KERAS_BACKEND": "jax"}


@pytest.mark.parametrize(
    ("name", "environment", "message"),
    [
        ("torch", {}, "backend 'torch' does not exist"),
        (None, {"KERAS_BACKEND": "torch"}, "KERAS_BACKEND= 'torch' does not exist. There are: tensorflow, jax"),
        ("jax", {"KERAS_BACKEND": "tensorflow"}, "backend=jax, but KERAS_BACKEND=tensorflow in the environment"),
        ("tensorflow", {}, r"backend=tensorflow is not installed: pip install -e '\.\[tensorflow\]'"),
    ],
)
def test_what_cannot_be_is_refused(name, environment, message):
    with pytest.raises(ConfigError, match=message):
        load_backend(name, dict(environment), only("jax"), unloaded)


def test_a_run_says_no_more_than_that(monkeypatch):
    """Its default asks for the name while the config is composed."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    with pytest.raises(ConfigError, match=r"^KERAS_BACKEND= 'torch' does not exist"):
        configured()


def test_a_run_on_jax_imports_no_tensorflow():
    """Where it is installed: a model is built, seeded and makes a step."""
    code = """
import sys
from mae.cli.backend import load_backend
load_backend("jax")
import numpy as np
from mae.engines.engine import Setup
from mae.engines.start import start_engine
from mae.models.classifier import build_classifier
from mae.seeds import seed_initializers
seed_initializers(0)
sizes = dict(image_size=16, num_frames=4, depth=1, embed_dim=24, num_heads=2)
model = build_classifier("vit_tiny", num_classes=3, **sizes)
logits = start_engine(Setup()).inference(model, lambda videos: model(videos, training=False))
assert logits(np.zeros((2, 4, 16, 16, 3), "uint8")).shape == (2, 3)
print("tensorflow" in sys.modules)
"""
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert made.stdout == "False\n", made.stderr
