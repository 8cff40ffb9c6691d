"""Clips of the listed videos: decode, choose frames, crop."""

from dataclasses import dataclass

import numpy as np

from mae.data.lists.index import VideoIndex
from mae.data.sampling import dense_stride, dense_stride_center
from mae.data.transforms.spatial import center_crop, multi_scale_crop
from mae.data.videos.decode import read_clip
from mae.errors import ConfigError, check_choice
from mae.options import CROPS
from mae.seeds import generator


@dataclass(frozen=True)
class ClipSpec:
    """What a clip is."""

    num_frames: int
    frame_stride: int  # source frames between two frames of a clip
    image_size: int  # pixels, height and width
    crop: str  # of training clips: "multi_scale" | "center"

    def __post_init__(self) -> None:
        if self.frame_stride < 1:
            raise ConfigError(f"dataset.frame_stride={self.frame_stride} must be at least 1")
        check_choice("data.crop", self.crop, CROPS)


class ClipReader:
    """Reads clips as (num_frames, image_size, image_size, 3) uint8 RGB; an example is a place in the index.

    Holds no state: a clip depends on its file, the seed, the epoch and the example only. Both methods raise
    `BadVideo` where the file gives no clip.
    """

    def __init__(self, index: VideoIndex, spec: ClipSpec, seed: int) -> None:
        self.index = index
        self.spec = spec
        self.seed = seed

    def training_clip(self, epoch: int, example: int) -> np.ndarray:
        """A clip from a random time, cropped as the spec says."""

        def choose(count: int) -> np.ndarray:
            rng = generator(self.seed, "clip start", epoch, example)
            return dense_stride(count, self.spec.num_frames, self.spec.frame_stride, rng)

        frames = read_clip(self.index.paths[example], choose)
        if self.spec.crop == "center":
            return center_crop(frames, self.spec.image_size)
        return multi_scale_crop(frames, self.spec.image_size, generator(self.seed, "crop", epoch, example))

    def center_clip(self, example: int) -> np.ndarray:
        """The clip in the middle of the video and of the picture: always the same."""

        def choose(count: int) -> np.ndarray:
            return dense_stride_center(count, self.spec.num_frames, self.spec.frame_stride)

        return center_crop(read_clip(self.index.paths[example], choose), self.spec.image_size)
