"""Event files, read back by TensorBoard's own reader."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mae.errors import ConfigError
from mae.monitoring import tensorboard_run
from mae.monitoring.moving import save_moving
from mae.monitoring.panels import save_png
from mae.monitoring.tensorboard_run import TensorBoardRun


@pytest.fixture
def pictures(tmp_path):
    still, moving = tmp_path / "a.png", tmp_path / "a.gif"
    save_png(still, np.full((5, 7, 3), 200, np.uint8))
    save_moving(moving, np.arange(4 * 192 * 200 * 3, dtype=np.uint8).reshape(4, 192, 200, 3))
    return still, moving


def read(run_dir):
    events = EventAccumulator(str(run_dir / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    return events


def series(events, tag):
    return [(event.step, pytest.approx(event.value, rel=1e-6)) for event in events.Scalars(tag)]


def test_numbers_pictures_and_config_are_there(tmp_path, pictures):
    view = TensorBoardRun(tmp_path / "run", {"seed": 3, "model": {"depth": 12}}, 0)
    view.log({"step": 10, "loss": 0.5, "probe/top1": 0.25, "psnr": None, "note": "text"})
    view.log({"step": 20, "loss": float("inf"), "bad_clips": 2})
    for path in (*pictures, Path("a.mp4")):
        view.log_picture(20, path.suffix[1:], path)
    view.finish(0)
    assert view.describe() == f"TensorBoard: tensorboard --logdir {tmp_path / 'run' / 'tensorboard'}"
    events = read(tmp_path / "run")
    assert set(events.Tags()["scalars"]) == {"train/loss", "probe/top1", "train/bad_clips"}
    assert series(events, "train/loss") == [(10, 0.5), (20, float("inf"))]
    assert set(events.Tags()["images"]) == {"png", "gif"}  # of moving pictures it shows GIFs only
    for path, size in zip(pictures, ((7, 5), (200, 192)), strict=True):
        (image,) = events.Images(path.suffix[1:])
        assert (image.step, image.width, image.height) == (20, *size)
        assert image.encoded_image_string == path.read_bytes()
    (text,) = events.Tensors("config/text_summary")
    assert b"depth: 12" in text.tensor_proto.string_val[0]


def test_a_start_that_goes_on_shows_no_step_twice(tmp_path):
    for first, last, loss in ((0, 6, 1.0), (4, 8, 2.0)):  # the first one was killed, its checkpoint is of step 3
        view = TensorBoardRun(tmp_path, {}, first)
        for step in range(first, last):
            view.log({"step": step, "loss": loss + step})
        view.finish(0)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    kept = [(step, 1.0 + step) for step in range(4)]
    assert series(read(tmp_path), "train/loss") == [*kept, *((step, 2.0 + step) for step in range(4, 8))]


def test_where_the_writer_is_not_installed(monkeypatch):
    monkeypatch.setattr(tensorboard_run, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs tensorboardX: pip install -e '.\[tensorboard\]'"):
        tensorboard_run.check_tensorboard()


def test_it_is_written_without_tensorflow(tmp_path):
    code = (
        "import sys; from pathlib import Path; from mae.monitoring.tensorboard_run import TensorBoardRun\n"
        "view = TensorBoardRun(Path(sys.argv[1]), {}, 0); view.log({'step': 1, 'loss': 1.0}); view.finish(0)\n"
        "assert not {'tensorflow', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
