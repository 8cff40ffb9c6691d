"""Clips of the listed videos: choose frames, decode them once, crop each, put them together."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mae.data.augment import CENTER, augment_pixels, draw_crop
from mae.data.config import Augmentation, TestViews
from mae.data.extras import clip_counters
from mae.data.lists.index import VideoIndex
from mae.data.sampling import CENTERS, KINDS, SAMPLERS, SHORT_CLIPS, TEST_SAMPLERS
from mae.data.transforms.crops import Crop, crop_frame, view_crops
from mae.data.videos.decoding import RGB, Decoding
from mae.data.videos.read import read_frames
from mae.errors import BadVideo, ConfigError, check_at_least, check_choice
from mae.motion import block_motion
from mae.normalisation import Statistics
from mae.options import RESIZES
from mae.picture_size import PictureSize, height_and_width, picture_size
from mae.seeds import generator

CropsOf = Callable[[int, int], Sequence[Crop]]  # of height and width


@dataclass(frozen=True)
class ClipSpec:
    """What a clip is."""

    num_frames: int
    frame_stride: int  # source frames between two frames of a clip; a list may say another for some of its videos
    image_size: PictureSize  # pixels, height and width: one number of a square, or both
    augmentation: Augmentation = CENTER  # of training clips
    sampler: str = "dense_stride"  # of training clips: a name of `mae.data.sampling.SAMPLERS`
    short_clip: str = "repeat_last"  # what a video too short for its clip gives
    clips_per_video: int = 1  # training clips cut from one decoding pass
    motion_candidates: int = 1  # windows read for each training clip, of which the one that moves most is taken
    decoding: Decoding = RGB  # what pixels are made of frames
    statistics: Statistics | None = None  # what the model normalises by; None: by the usual ones of its channels
    resize: str = "crop"  # how a video of another aspect becomes a clip: crop | letterbox | stretch

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", picture_size("image_size", self.image_size))
        check_at_least(1, self, "frame_stride", prefix="dataset.")
        check_choice("data.sampler", self.sampler, SAMPLERS)
        check_choice("data.resize", self.resize, RESIZES)
        check_choice("data.short_clip", self.short_clip, SHORT_CLIPS)
        check_at_least(1, self, "clips_per_video", "motion_candidates", prefix="data.")
        self.augmentation.check_channels(self.decoding.count)
        if self.motion_candidates > 1 and self.num_frames < 2:
            raise ConfigError(
                f"data.motion_candidates={self.motion_candidates} compares frames, and num_frames=1: give 2 or more"
            )

    @property
    def kind(self) -> str:
        """How the sampler sees a video: dense | segments."""
        return KINDS[self.sampler]

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width."""
        return height_and_width(self.image_size)

    @property
    def clip_shape(self) -> tuple[int, int, int, int]:
        """Frames, rows, columns and channels."""
        return self.num_frames, *self.picture_size, self.decoding.count

    @property
    def clip_bytes(self) -> int:
        """Of the pixels of one clip."""
        return math.prod(self.clip_shape)


class ClipReader:
    """Reads clips as (num_frames, height, width, c) uint8; an example is a position in the index.

    Holds no state: a clip depends on its file, the seed, the epoch and the example only. All methods raise
    `BadVideo` where the file gives no clip.

    Args:
        timeout_s: seconds that decoding one video may take; None: any.
    """

    def __init__(self, index: VideoIndex, spec: ClipSpec, seed: int, timeout_s: float | None = None) -> None:
        self.index = index
        self.spec = spec
        self.seed = seed
        self.timeout_s = timeout_s

    def training_clips(self, epoch: int, example: int) -> tuple[np.ndarray, np.ndarray]:
        """The clips of one visit, each from a random time, cropped and augmented.

        Of several candidates, from as many random times, the one is taken whose frames differ most from those before
        them, inside the crop, which they share.

        Returns:
            The clips (clips_per_video, T, H, W, c), and for each whether its video was too short for it, so that it
            shows frames again: (clips_per_video,) bool.
        """
        spec, visit = self.spec, [clip_counters(epoch, example, clip) for clip in range(self.spec.clips_per_video)]
        stride = self._stride(example)
        # The first candidate is the clip that there is without others.
        purposes = ["clip start", *(f"clip start {number}" for number in range(1, spec.motion_candidates))]

        def choose(count: int) -> np.ndarray:
            sample = SAMPLERS[spec.sampler]
            return np.stack([
                sample(count, spec.num_frames, stride, self._generator(purpose, clip), spec.short_clip)
                for clip in visit
                for purpose in purposes
            ])  # fmt: skip

        def crops(height: int, width: int) -> list[Crop]:
            drawn = [
                draw_crop(
                    spec.augmentation, height, width, spec.picture_size, self._generator("crop", clip), spec.resize
                )
                for clip in visit
            ]
            return [crop for crop in drawn for _ in purposes]

        clips, is_short = self._read(example, choose, crops)
        if spec.motion_candidates > 1:
            taken = _most_moving(clips, spec.motion_candidates)
            clips, is_short = clips[taken], is_short[taken]
        for pixels, clip in zip(clips, visit, strict=True):
            augmented = augment_pixels(pixels, spec.augmentation, self._generator("augment", clip), spec.statistics)
            if augmented is not pixels:
                pixels[:] = augmented
        return clips, is_short

    def center_clip(self, example: int) -> np.ndarray:
        """The clip in the middle of the picture and of the video, or of each of its segments: always the same.

        Which of the two follows the sampler of the training clips, so that a model is shown what it was trained on.
        """
        spec = self.spec
        sample, not_asked = SAMPLERS[CENTERS[spec.kind]], self._generator("centre clip", (example,))

        def choose(count: int) -> np.ndarray:
            return sample(count, spec.num_frames, self._stride(example), not_asked, "repeat_last")[None]

        clips, _ = self._read(example, choose, lambda h, w: view_crops(h, w, spec.picture_size, 1, spec.resize))
        return clips[0]

    def test_clips(self, example: int, views: TestViews) -> np.ndarray:
        """Every crop of every test clip, crops of a clip beside each other: (clips · crops, T, H, W, c)."""
        spec = self.spec

        def choose(count: int) -> np.ndarray:
            sample = TEST_SAMPLERS[views.sampler]
            clips = sample(count, spec.num_frames, self._stride(example), views.clips, spec.short_clip)
            return clips.repeat(views.crops, axis=0)

        def crops(height: int, width: int) -> Sequence[Crop]:
            return views.clips * view_crops(height, width, spec.picture_size, views.crops, spec.resize)

        clips, _ = self._read(example, choose, crops)
        return clips

    def _stride(self, example: int) -> int:
        """Source frames between two frames of a clip of this video."""
        listed = None if self.index.strides is None else self.index.strides[example]
        return self.spec.frame_stride if listed is None else listed

    def _generator(self, purpose: str, counters: tuple[int, ...]) -> np.random.Generator:
        return generator(self.seed, purpose, *counters)

    def _read(
        self, example: int, choose: Callable[[int], np.ndarray], crops_of: CropsOf
    ) -> tuple[np.ndarray, np.ndarray]:
        """Clips from one decoding pass: frame numbers (k, T), one crop each → (k, T, H, W, c), is_short (k,)."""
        index = self.index
        segment = None if index.segments is None else index.segments[example]
        cutter = _Cutter(choose, crops_of)
        path, decoding = index.paths[example], self.spec.decoding
        frames = read_frames(path, cutter.choose, cutter.cut, segment, self.timeout_s, decoding)
        clips = np.empty((len(cutter.indices), *self.spec.clip_shape), np.uint8)
        for position, views in enumerate(frames.views):
            for clip, view in zip(cutter.users[position], views, strict=True):
                clips[clip, cutter.indices[clip] == position] = view
        return clips, cutter.is_short


def clip_of(option: str, given: str, video: VideoIndex, spec: ClipSpec) -> np.ndarray:
    """The centre clip of the one video that an option names, (num_frames, height, width, c) uint8.

    Args:
        option: for the message, such as `video=`.
        given: what a person wrote behind it.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return ClipReader(video, spec, seed=0).center_clip(0)
    except BadVideo as error:
        raise ConfigError(f"{option}{given}: {error}") from error


def _most_moving(clips: np.ndarray, candidates: int) -> np.ndarray:
    """The index of the one that moves most of every `candidates` clips that follow each other; of equals the first."""
    moved = np.array([block_motion(clip, clip.shape[:3]).item() for clip in clips]).reshape(-1, candidates)
    return moved.argmax(axis=1) + candidates * np.arange(len(moved))


class _Cutter:
    """Cuts clips out of the frames of a video, which come one by one."""

    def __init__(self, choose: Callable[[int], np.ndarray], crops_of: CropsOf) -> None:
        self._choose = choose
        self._crops_of = crops_of

    def choose(self, count: int) -> np.ndarray:
        """The distinct frames of all clips, ascending. Asked again where a file has fewer frames than it claims."""
        chosen = self._choose(count)
        distinct, indices = np.unique(chosen, return_inverse=True)
        self.indices = indices.reshape(chosen.shape)  # (k, T): which of the distinct ones stands where
        self.users: list[list[int]] = [[] for _ in distinct]  # the clips that show each of the distinct ones
        for clip, indices_of_clip in enumerate(self.indices):
            for position in set(indices_of_clip.tolist()):
                self.users[position].append(clip)
        self._crops: Sequence[Crop] | None = None
        return distinct

    @property
    def is_short(self) -> np.ndarray:
        """Whether the frames of a clip do not all come one after the other, for each clip: (k,) bool."""
        return np.any(np.diff(self.indices, axis=1) <= 0, axis=1)

    def cut(self, position: int, frame: np.ndarray) -> list[np.ndarray]:
        """What every clip that shows this frame shows of it."""
        if self._crops is None:
            self._crops = self._crops_of(*frame.shape[:2])
        return [crop_frame(frame, self._crops[clip]) for clip in self.users[position]]
