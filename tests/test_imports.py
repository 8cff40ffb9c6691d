"""Importing does nothing it need not do, and the rooms that promise to run anywhere import nothing that does not."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mae

PACKAGE = Path(mae.__file__).parent
# These run under any Keras backend; see tests/golden/check_backend.py.
ANY_BACKEND = [
    *sorted((PACKAGE / "models").rglob("*.py")),
    *(PACKAGE / f"{n}.py" for n in ("checks", "masking", "patches", "presets")),
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


def test_pytorch_is_imported_nowhere():
    assert not [path for path in PACKAGE.rglob("*.py") if "torch" in set(imported(path))]


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
