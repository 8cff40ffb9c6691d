"""Importing does nothing it need not do, and the rooms that promise to run anywhere import nothing that does not."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

import mae

PACKAGE = Path(mae.__file__).parent
# These run under any Keras backend; see tests/golden/check_backend.py.
_MATHS = ("checks", "masking", "motion", "patches", "presets", "target_config", "targets")
ANY_BACKEND = [
    *sorted((PACKAGE / "models").rglob("*.py")),
    *(PACKAGE / f"{n}.py" for n in _MATHS),
]
ALLOWED = {"keras", "einops", "numpy", "mae", *sys.stdlib_module_names}
# Asks for the backend first: tests/models/lean/test_one_pass.py.
WHERE_IT_IS_THE_BACKEND = {"one_pass.py": {"tensorflow"}}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("path", ANY_BACKEND, ids=lambda path: path.name)
def test_models_import_nothing_but_keras(path):
    assert set(imported(path)) <= ALLOWED | WHERE_IT_IS_THE_BACKEND.get(path.name, set())


def test_type_checkers_are_told_of_the_names_that_are_imported_later():
    told = {
        alias.asname: node.module
        for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert told == mae._HOMES


# As where TensorFlow was never installed.
WITHOUT_TENSORFLOW = """
import importlib, os, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "tf_keras"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
os.environ["KERAS_BACKEND"] = "jax"
"""


def test_everything_but_the_engine_of_tensorflow_is_imported_without_it():
    code = """
import mae
names = [module.name for module in pkgutil.walk_packages(mae.__path__, "mae.")]
names = [name for name in names if not name.startswith("mae.engines.tensorflow.")]
for name in names:
    importlib.import_module(name)
print(*names)
"""
    made = subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW + code], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    rooms = ("data.pipeline", "models.pretrainer", "masking", "patches", "training.launch", "checkpoints.read")
    rooms += ("pretraining.run", "finetuning.run", "evaluation.trained")
    assert {f"mae.{room}" for room in rooms} <= set(made.stdout.split())


def test_configs_plans_and_lists_need_no_backend_of_keras_at_all():
    code = """
import mae.training.config, mae.training.plan, mae.pretraining.config, mae.finetuning.config, mae.data.pipeline
import mae.training.launch
assert "keras" not in sys.modules
"""
    made = subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW + code], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def test_checkpoints_of_tensorflow_are_read_without_it_and_a_saved_model_names_what_it_needs_to_be_written(tmp_path):
    model = tf.train.Checkpoint(encoder=tf.train.Checkpoint(norm=tf.train.Checkpoint(gamma=tf.Variable([1.5, 2.0]))))
    path = model.write(str(tmp_path / "model"))
    code = f"""
from mae.checkpoints.read import read_weights
from mae.checkpoints.saved_model import write_saved_model
from mae.errors import ConfigError
print(read_weights({path!r}).arrays["encoder/norm/gamma"].tolist())
try:
    write_saved_model(None, None, None, None)
except ConfigError as error:
    print(error)
"""
    made = subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW + code], capture_output=True, text=True)
    assert made.stdout.startswith("[1.5, 2.0]\n"), made.stderr
    assert "needs TensorFlow, which is not installed: pip install -e '.[tensorflow]'" in made.stdout, made.stderr


def test_pytorch_is_imported_nowhere():
    assert not [path for path in PACKAGE.rglob("*.py") if "torch" in set(imported(path))]


def test_data_needs_no_framework():
    """Neither directly nor through what it imports; nor is the loader's library imported before there is a batch."""
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in (PACKAGE / "data").rglob("*.py")
    ]
    assert "mae.data.pipeline" in names
    code = (
        "import importlib, sys\n"
        f"for name in {names}: importlib.import_module(name)\n"
        "assert not {'tensorflow', 'keras', 'jax', 'grain'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_is_free_and_every_name_of_it_exists():
    code = "import sys, mae; assert not {'tensorflow', 'keras', 'cv2', 'wandb'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in mae.__all__:
        assert callable(getattr(mae, name))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mae.nothing


def test_importing_changes_no_environment():
    code = (
        "import os; before = dict(os.environ)\n"
        "import mae.cli.overrides, mae.pretraining.config, mae.data.pipeline\n"
        "import mae.monitoring.wandb_run, mae.reconstruct\n"
        "added = {k for k in os.environ if before.get(k) != os.environ[k]}\n"
        # OpenCV's and TensorFlow's own doing.
        "assert not {k for k in added if not k.startswith(('QT_', 'TF2_', 'TPU_', 'LD_', 'CUDA_'))}, added"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
