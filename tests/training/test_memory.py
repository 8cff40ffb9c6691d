"""Settings that are said to save memory do: the peak of a step in a process of its own, beyond its imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

STEP = Path(__file__).parents[2] / "benchmarks" / "train_step.py"


def peak(*words):
    """Bytes of a step of ViT-S on 8 clips, which takes about 2 GB; two runs of the same differ by a few percent."""
    command = [sys.executable, str(STEP), "--worker", "ours", "--model", "vit_small", "--clips", "8", *words]
    ended = subprocess.run(command, input="", capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])["peak"]


@pytest.fixture(scope="module")
def plain():
    return peak()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "share"),
    [
        (["--remat", "blocks"], 0.85),
        (["--accumulate", "4"], 0.8),
        (["--decoder-mask-ratio", "0.5"], 0.95),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_saves_memory(plain, words, share):
    assert peak(*words) < share * plain
