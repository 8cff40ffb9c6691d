"""The program in docs/library.md runs."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.commands

PAGE = Path(__file__).parents[2] / "docs" / "library.md"


def test_the_blocks_are_a_program(beside_videos, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    told = {"__name__": "library"}
    exec(compile("\n".join(blocks), str(PAGE), "exec"), told)
    assert capsys.readouterr().out.splitlines() == [
        "step 1",
        "outputs/folder-vit_micro step_00000001.npz 0.9",
        "('grow', 'move_left') 4 frames at stride 1",
        "(1, 2)",
    ]
    assert len(told["names"]) == 5
    assert float(told["loss"]) > 0
