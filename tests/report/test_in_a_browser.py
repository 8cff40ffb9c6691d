"""The report in a real Chromium: what a person would see of it."""

import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from run_directories import make_finetuning, make_pretraining, make_probe

from mae.report.curves import COLOURS
from mae.report.page import write_page
from mae.report.run_files import RunFiles

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAPER = (0xF6, 0xF7, 0xF9)  # behind the cards


@pytest.mark.slow  # not long, but a browser starts a dozen processes, and waits for them as long as it is let
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
@pytest.mark.parametrize("width", [1280, 520])
def test_curves_and_pictures_are_seen(tmp_path, width):
    runs = [make_pretraining(tmp_path / "one"), make_finetuning(tmp_path / "two"), make_probe(tmp_path / "three")]
    output, picture = tmp_path / "page.html", tmp_path / "report.png"
    write_page([RunFiles(run) for run in runs], output)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},6000"]
    places = [f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", output.as_uri()]
    subprocess.run([CHROMIUM, *options, *places], check=True, capture_output=True, timeout=600)
    seen = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3)
    assert len(seen) == width * 6000
    assert (seen != PAPER).any(axis=1).mean() > 0.2
    for colour in COLOURS[:2]:  # of the curves of two runs
        assert (seen == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=1).sum() > 100
    assert len(np.unique(seen, axis=0)) > 1000  # photographs
