"""What the commands are told by a checkpoint of a run. The runs are two of an earlier version, see their README."""

from pathlib import Path

import numpy as np
import pytest
from released_files import write

from mae.checkpoints.run_state import AVERAGE, read_checkpoint
from mae.evaluation.trained import load_classifier, load_encoder

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


def test_what_a_file_does_not_tell_is_assumed_and_said(tmp_path):
    """A released file, of the layout of the original release."""
    path, sizes = write("D", "classifier", tmp_path), {"num_heads": 3, "image_size": 32, "num_frames": 4}
    trained = load_classifier(path, None, None, "float32", sizes)
    assert (trained.frame_stride, trained.sampler) == (4, "dense")
    assert trained.class_names == ("0", "1", "2", "3", "4")
    told = f"{path}: 4 frames at stride 4 (sampler dense), 32×32; the file does not tell frame_stride, sampler: assumed"
    assert trained.description == told
    trained = load_encoder(path, 2, "float32", sizes, "segments")
    assert trained.description == f"{path}: 4 frames, one of each segment (sampler segments), 32×32"
    trained = load_encoder(path, 2, "float32", {"num_heads": 3})
    assert trained.description.endswith("224×224; the file does not tell sampler, num_frames, image_size: assumed")
