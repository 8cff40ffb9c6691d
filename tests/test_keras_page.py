"""The page for users of Keras is run from top to bottom, with models of one block, which compile sooner."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.commands

PAGE = Path(__file__).parents[1] / "docs/keras.md"


def test_every_line_of_the_page_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text().replace('("vit_micro"', '("vit_micro", depth=1')
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 6
    made = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), made)
    assert made["predicted"].shape == (8, 128, 48)
    assert made["other_task"].output_shape == (None, 5)
    assert int(made["again"].optimizer.iterations.numpy()) == 8
