"""Every test process has four logical CPU devices, so that replicas can be tested without GPUs.

It has one backend of Keras: TensorFlow, or with `KERAS_BACKEND=jax` in the environment JAX.
"""

import gc
import os
import signal
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ["WANDB_MODE"] = "offline"

import pytest
from xla_flags import COMPILED_SOON, FOUR_DEVICES

from mae.cli.without import without
from mae.data.config import ShapesDataset
from mae.data.rendered.render import ensure_rendered

ON_JAX = os.environ.get("KERAS_BACKEND") == "jax"
# Both engines are compared once.
collect_ignore = ["engines/tensorflow", "engines/test_agreement.py"] if ON_JAX else ["engines/jax"]
os.environ["XLA_FLAGS"] = f"{FOUR_DEVICES} {COMPILED_SOON}" if ON_JAX else COMPILED_SOON

TESTS = Path(__file__).parent
# Where graphs themselves are tested.
GRAPH_ROOMS = {"engines", "golden", "models"}


def pytest_configure(config):
    """Keras and its devices, but not where xdist hands tests to other processes, which would wait for them twice."""
    if config.getoption("numprocesses", None):
        return
    with without("matplotlib", "sklearn"):
        import keras  # noqa: F401
    if ON_JAX:
        return
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4
    )
    rewrite_graphs(False)


def pytest_collection_finish():
    """What is imported stays: to look through it for garbage, as often as Python does, takes a tenth of all time."""
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def rewrite_graphs(is_on):
    """Whether TensorFlow rewrites a graph to make it faster: a second for a step that runs for milliseconds."""
    if not ON_JAX:
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not is_on})


@pytest.fixture(scope="module", autouse=True)
def rewritten_graphs(request):
    """As in any other process, here in some folders of tests alone."""
    rewrite_graphs(request.path.relative_to(TESTS).parts[0] in GRAPH_ROOMS)
    yield
    rewrite_graphs(False)


@pytest.fixture
def interrupts():
    """Ctrl-C raises `KeyboardInterrupt`, also where pytest was started with it ignored, as by `nohup … &`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def two_devices(monkeypatch):
    """`strategy=mirrored` finds two of the logical devices: half as much to trace and compile as for all four."""
    if ON_JAX:
        import jax

        devices = jax.devices()[:2]
        monkeypatch.setattr(jax, "devices", lambda: devices)
        return
    import tensorflow as tf

    every = tf.config.list_logical_devices
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: every(kind)[:2])


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """The folder of the demo's videos, one of each class, shared by all runs."""
    root = tmp_path_factory.mktemp("shapes") / "videos"
    return ensure_rendered(
        ShapesDataset(
            "shapes",
            frame_stride=1,
            root=str(root),
            videos_per_class=1,
            seed=0,
            val_videos_per_class=1,
            classes="all",
            background="ramp",
        )
    )
