"""Which clips a smoke test takes, which settings it goes by, and what it says."""

from dataclasses import asdict

import numpy as np
import pytest
from configured import configured, configured_finetuning
from written_videos import write_video

from mae.data.clips import ClipReader
from mae.data.few import in_turn, reader_of_few
from mae.data.lists.index import index_folder
from mae.errors import ConfigError
from mae.training.clips import clip_spec
from mae.training.overfit import overfit_row, overfitting, summarize_overfitting


def test_without_it_settings_stay():
    for config in (configured(), configured_finetuning()):
        assert overfitting(config) is config
    assert overfit_row(None, "clip") == []


def test_pre_training_by_hand():
    """The demo: 16 clips, 1.6e-2 for 256, so 1e-3; the same for 8 clips is 3.2e-2 for 256."""
    c = overfitting(configured("overfit_clips=8", "model.drop_path_rate=0.1", "data.clips_per_video=2"))
    assert (c.batch_size, c.learning_rate, c.min_learning_rate) == (8, 3.2e-2, 1.6e-3)
    assert (c.model.drop_path_rate, c.data.clips_per_video, c.probe.every) == (0, 1, None)
    assert overfitting(c) == c
    c = overfitting(configured("overfit_clips=20"))
    assert (c.batch_size, c.learning_rate) == (16, 1.6e-2)


def test_fine_tuning_goes_without_everything_random():
    c = overfitting(configured_finetuning("dataset=ucf101", "overfit_clips=12"))
    assert (c.batch_size, c.validate_every, c.head_dropout_rate, c.mixes) == (12, None, 0, False)
    assert c.mixing.label_smoothing == 0
    assert c.learning_rate == pytest.approx(5e-4 * 128 / 12)
    assert set(asdict(c.augment).values()) == {"center", 0, None}  # False is 0, too


@pytest.mark.parametrize(
    ("dataset", "sampler"),
    [("ssv2", "tsn_midpoints"), ("ucf101", "dense_stride_center"), ("shapes", "dense_stride_center")],
)
def test_the_clip_is_of_the_kind_that_the_run_is_trained_on(dataset, sampler):
    """SSv2 is published with segments, the others with dense clips; pre-training is dense everywhere."""
    assert overfitting(configured_finetuning(f"dataset={dataset}", "overfit_clips=4")).data.sampler == sampler
    assert overfitting(configured(f"dataset={dataset}", "overfit_clips=4")).data.sampler == "dense_stride_center"


def test_classes_take_turns():
    assert in_turn([0, 0, 0, 1, 1, 2]) == [0, 3, 5, 1, 4, 2]
    assert in_turn([5, 5]) == [0, 1]


@pytest.fixture(params=["dense_stride", "tsn_segments"])
def reader(tmp_path, request):
    """Three videos of each of two classes, the first of all unreadable, as a run with `overfit_clips` reads them."""
    for name in "ab":
        for number in range(3):
            frames = np.random.default_rng(number).integers(0, 256, (12, 24, 32, 3)).astype("u1")
            write_video(tmp_path / name / f"{number}.avi", frames)
    (tmp_path / "a" / "0.avi").write_text("no video")
    overrides = ("overfit_clips=3", "augment.flip=true", "model.image_size=16", "model.num_frames=4")
    overrides += (f"data.sampler={request.param}",)
    config = overfitting(configured(*overrides))
    return ClipReader(index_folder(tmp_path), clip_spec(config, 1, config.model.architecture), seed=0)


def test_the_first_that_can_be_read(reader):
    names = [[path[-7:-4] for path in reader_of_few(reader, 3, over).index.paths] for over in (False, True)]
    assert names == [["a/1", "a/2", "b/0"], ["a/1", "b/0", "b/1"]]
    few = reader_of_few(reader, 3, over_classes=True)
    assert few.index.labels == (0, 1, 1)
    assert few.index.class_names == ("a", "b")
    assert few.index.digest not in (reader.index.digest, reader_of_few(reader, 3, over_classes=False).index.digest)
    for example in range(3):
        for epoch in (0, 7):
            np.testing.assert_array_equal(few.training_clips(epoch, example)[0][0], few.center_clip(example))


def test_too_few(reader):
    with pytest.raises(ConfigError, match="overfit_clips=7 is more than the 6 videos of the list: give 6 or fewer"):
        reader_of_few(reader, 7, over_classes=False)
    with pytest.raises(ConfigError, match=r"only 5 of the 6 videos can be read; the first that cannot: .*a/0\.avi \("):
        reader_of_few(reader, 6, over_classes=False)


def test_what_it_says_at_the_end():
    records = [
        {"step": 0, "psnr": 3.0},
        {"step": 1, "loss": 1.0},
        {"step": 20, "loss": None},
        {"step": 40, "loss": 0.1},
    ]
    assert summarize_overfitting(8, records) == "overfit 8 clips: loss 1.0000 → 0.1000 (step 1 → 40, 10 % of the first)"
    records[-1] |= {"loss": 0.6, "val_top1": 0.5}
    assert summarize_overfitting(8, records) == (
        "overfit 8 clips: loss 1.0000 → 0.6000 (step 1 → 40, 60 % of the first), top-1 on them 50 %; it should fall "
        "towards 0: try more steps or another learning_rate"
    )
    assert summarize_overfitting(8, []) == "overfit 8 clips: no loss was logged"
