"""What the commands are told by a checkpoint of a run. The runs are two of an earlier version, see their README."""

from pathlib import Path

import numpy as np
import pytest

from mae.checkpoints.run_state import AVERAGE, read_checkpoint
from mae.checkpoints.save import save_checkpoint
from mae.evaluation.trained import FRAME_STRIDE, load_classifier, load_encoder

RUNS = Path(__file__).parents[1] / "training" / "old_runs"  # both with ema_decay and a frame stride of 2
CLASSES = (
    *("circle_clockwise", "circle_counterclockwise", "grow", "move_down", "move_left", "move_right", "move_up"),
    *("rotate_clockwise", "rotate_counterclockwise", "shake_horizontal", "shake_vertical", "shrink"),
)


def test_a_classifier_of_a_run_with_averaged_weights():
    trained = load_classifier(RUNS / "finetune", None, None, "float32", {})
    assert trained.frame_stride == 2
    assert trained.class_names == CLASSES
    averages = read_checkpoint(trained.source).arrays
    np.testing.assert_array_equal(trained.model.head.kernel, averages[f"{AVERAGE}classifier/head/kernel"])


@pytest.mark.parametrize("run", ["pretrain", "finetune"])
def test_an_encoder_of_a_run_with_averaged_weights(run):
    assert load_encoder(RUNS / run, None, "float32", {}).frame_stride == 2


def test_a_frame_stride_that_is_given_wins():
    assert load_encoder(RUNS / "pretrain", 3, "float32", {}).frame_stride == 3


def test_a_file_that_is_no_run_tells_no_frame_stride(tmp_path):
    trained = load_classifier(RUNS / "finetune", None, None, "float32", {})
    save_checkpoint(trained.model, tmp_path / "exported.keras", "keras")
    again = load_classifier(tmp_path / "exported.keras", None, None, "float32", {})
    assert again.frame_stride == FRAME_STRIDE == 4
    assert again.class_names == tuple(str(number) for number in range(len(CLASSES)))
