"""Both engines make the same updates: clipping, drop path, accumulation, layer decay, an average, unreadable clips."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engine_updates import updates


def test_jax_makes_the_updates_of_tensorflow(tmp_path):
    script, out = Path(__file__).parent / "engine_updates.py", tmp_path / "jax.npz"
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": paths}
    subprocess.run([sys.executable, str(script), str(out)], check=True, env=environment)
    with np.load(out) as archive:
        made = dict(archive)
    expected = updates()
    assert made.keys() == expected.keys()
    assert sum(name.startswith("gradient/") for name in made) > 40
    for name, value in expected.items():
        difference = np.abs(made[name].astype("float64") - value).max()
        assert difference <= 1e-5 * max(np.abs(value).max(), 1e-3), name
    assert expected["scalar/grad_norm"].min() > 0.05  # clipping was on


@pytest.mark.parametrize("name", ["loss", "learning_rate"])
def test_losses_and_rates_change(name):
    assert len(set(updates()[f"scalar/{name}"])) > 3
