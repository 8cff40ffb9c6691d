"""What pre-training's batches bring besides pixels, from a reader of no files."""

import numpy as np
from configured import SMALL_RUN, configured

from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader, ClipSpec
from mae.data.lists.index import VideoIndex
from mae.data.pipeline import Portion, epoch_order
from mae.masking import running_cell_mask, tube_mask
from mae.pretraining.batches import masked_batches
from mae.seeds import generator

VIDEOS = 8


class Black(ClipReader):
    """Clips of no file."""

    def training_clips(self, epoch, example):
        return np.zeros((1, 4, 32, 32, 3), np.uint8), np.zeros(1, bool)


class Moving(ClipReader):
    """Clips of no file, in each of which one column of patches moves: that of the epoch and the example."""

    def training_clips(self, epoch, example):
        clip = np.full((1, 4, 32, 32, 3), 90, np.uint8)
        column = 8 * ((epoch + example) % 4)
        clip[:, 1, :, column : column + 8] = 200
        return clip, np.zeros(1, bool)


def batches(config, positions=range(4), of=Black, first_step=1):
    reader = of(VideoIndex(tuple(map(str, range(VIDEOS))), None, None, ""), ClipSpec(4, 1, 32), config.seed)
    portion = Portion(config.clips_per_step, range(first_step, 4), positions)
    return list(masked_batches(config, reader, BadVideos(None, VIDEOS, 0.0), portion, prefetch=2))


def test_each_clip_has_the_masks_and_noise_of_its_visit():
    ratios = ("mask_ratio=0.75", "decoder_mask_ratio=0.5", "masking=tube", "seed=3")
    rates = ("model.drop_path_rate=0.2", "model.depth=2")
    config = configured(*SMALL_RUN, *ratios, *rates)
    grid = config.model.architecture.grid
    for step, batch in enumerate(batches(config), start=1):
        assert set(batch) == {
            *("videos", "valid", "short", "example", "decode_ms"),
            *("is_masked", "is_decoder_masked", "path_noise"),
        }
        for p, example in enumerate(batch["example"].tolist()):
            epoch = step // 2
            assert example == epoch_order(3, epoch, VIDEOS)[step % 2 * 4 + p]
            visit = (epoch, example)
            masked = tube_mask(grid, 0.75, seed=generator(3, "mask", *visit))[0]
            dropped = running_cell_mask(grid, 0.5, seed=generator(3, "decoder mask", *visit))[0]
            np.testing.assert_array_equal(batch["is_masked"][p], masked)
            np.testing.assert_array_equal(batch["is_decoder_masked"][p], dropped)
            np.testing.assert_array_equal(
                batch["path_noise"][p], generator(3, "drop path", *visit).random((2, 2), np.float32)
            )


def test_a_process_makes_its_positions():
    config = configured(*SMALL_RUN)
    for part, whole in zip(batches(config, range(2, 4)), batches(config), strict=True):
        for name in ("example", "is_masked"):
            np.testing.assert_array_equal(part[name], whole[name][2:])


def test_what_is_learnt_by_heart_is_the_same_at_every_visit():
    config = configured(*SMALL_RUN, "overfit_clips=8", "model.depth=2", "model.drop_path_rate=0.2")
    for batch in batches(config):
        for p, example in enumerate(batch["example"].tolist()):
            noise = generator(config.seed, "drop path", 0, example).random((2, 2), np.float32)
            np.testing.assert_array_equal(batch["path_noise"][p], noise)


def test_masks_follow_the_clips_they_are_of_by_any_worker_process_and_after_a_resume():
    """4 of 16 tubes are kept: the column that moves, which is another in each clip."""
    config = configured(*SMALL_RUN, "mask_motion=keep", "mask_motion_share=1", "data.workers=3")
    whole = batches(config, of=Moving)
    for step, batch in enumerate(whole, start=1):
        for p, example in enumerate(batch["example"].tolist()):
            kept = ~batch["is_masked"][p].reshape(2, 4, 4)
            assert kept.all(axis=1).tolist() == [[column == (step // 2 + example) % 4 for column in range(4)]] * 2
            assert kept.sum() == 8
    config = configured(*SMALL_RUN, "mask_motion=hide", "mask_motion_share=0.5", "data.workers=3")
    whole = batches(config, of=Moving)
    alone = configured(*SMALL_RUN, "mask_motion=hide", "mask_motion_share=0.5", "data.workers=1")
    for name in ("example", "is_masked", "videos"):
        for made, expected in zip(batches(alone, of=Moving), whole, strict=True):
            np.testing.assert_array_equal(made[name], expected[name])
        for made, expected in zip(batches(config, range(2, 4), of=Moving), whole, strict=True):
            np.testing.assert_array_equal(made[name], expected[name][2:])
        for made, expected in zip(batches(config, of=Moving, first_step=3), whole[2:], strict=True):
            np.testing.assert_array_equal(made[name], expected[name])
