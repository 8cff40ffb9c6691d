"""What fine-tuning's batches bring besides pixels, from a reader of no files."""

import numpy as np
import pytest
from configured import SMALL_RUN, configured_finetuning

from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader, ClipSpec
from mae.data.lists.index import VideoIndex
from mae.data.pipeline import Portion, epoch_order
from mae.finetuning.batches import labelled_batches
from mae.finetuning.mixing import draw_mixture
from mae.seeds import generator

VIDEOS = 6
LABELS = (2, 0, 1, 1, 2, 0)
SMALL = [override for override in SMALL_RUN if "decoder" not in override and "evaluate_every" not in override]


class Black(ClipReader):
    """Clips of no file."""

    def training_clips(self, epoch, example):
        clips = self.spec.clips_per_video
        return np.zeros((clips, 4, 32, 32, 3), np.uint8), np.zeros(clips, bool)


def batches(config, first_step, num_steps):
    index = VideoIndex(tuple(map(str, range(VIDEOS))), LABELS, None, "")
    reader = Black(index, ClipSpec(4, 1, 32, clips_per_video=config.data.clips_per_video), config.seed)
    bad_videos = BadVideos(None, VIDEOS, 0.0)
    portion = Portion(config.clips_per_step, range(first_step, first_step + num_steps))
    return list(labelled_batches(config, reader, bad_videos, portion, prefetch=2, outputs=3))


@pytest.fixture(scope="module")
def config():
    rates = ("mixing.mixup=0.8", "mixing.cutmix=1", "model.drop_path_rate=0.2", "model.depth=2", "seed=3")
    return configured_finetuning(*SMALL, *rates, "batch_size=2", "data.clips_per_video=2")


def test_clips_come_with_their_labels_and_noise(config):
    for step, batch in enumerate(batches(config, 0, 6)):
        epoch, position = divmod(step, 3)  # two videos of six make a step
        expected = epoch_order(3, epoch, VIDEOS)[2 * position : 2 * position + 2]
        assert batch["example"].tolist() == np.repeat(expected, 2).tolist()
        assert batch["label"].tolist() == [LABELS[example] for example in batch["example"]]
        assert batch["label"].dtype == np.int32
        noise = generator(3, "drop path", epoch, int(expected[1]), 1).random((2, 2), np.float32)
        np.testing.assert_array_equal(batch["path_noise"][3], noise)


def test_a_mixture_is_a_function_of_the_step(config):
    made = batches(config, 0, 6)
    for step, batch in enumerate(made):
        row = draw_mixture(config.mixing, 3, step, 32, 32).row()
        np.testing.assert_array_equal(batch["mixture"], [row] * 4)
        assert batch["mixture"].dtype == np.float32
    assert len({batch["mixture"].tobytes() for batch in made}) > 1
    for batch, expected in zip(batches(config, 4, 2), made[4:], strict=True):
        np.testing.assert_array_equal(batch["mixture"], expected["mixture"])


def test_nothing_is_brought_that_nothing_needs():
    config = configured_finetuning(*SMALL, "mixing.probability=0", "model.drop_path_rate=0")
    (batch,) = batches(config, 0, 1)
    assert set(batch) == {"videos", "valid", "short", "example", "decode_ms", "label"}
