"""What a model is shown of a video, and what is done to it in training."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from mae.data.augment import CENTER
from mae.data.config import Augmentation
from mae.data.sampling import KINDS, SAMPLERS
from mae.data.videos.decoding import Decoding, decoding
from mae.errors import check_at_least, check_choice
from mae.normalisation import Statistics, statistics_of
from mae.options import RESIZES
from mae.picture_size import PictureSize, picture_size

# Settings `augment.` of the published recipes, as `conf/` has them.
AUGMENTATIONS = {
    "pretraining": replace(CENTER, crop="multi_scale"),
    "finetuning": replace(
        CENTER, crop="random_resized", flip=True, rand_augment="rand-m7-n4-mstd0.5-inc1", erase_probability=0.25
    ),
}


@dataclass(frozen=True)
class Clip:
    """The clips a model takes: how many frames, how far apart, how large.

    The defaults are those of most released models. `mae.from_pretrained` gives the settings of a trained model as
    `model.card.clip`, and `mae.load_dataset` reads clips by them.

    Args:
        num_frames: of a clip.
        frame_stride: source frames between two frames of a clip; samplers by segments do not ask for it.
        image_size: pixels; or height and width, as `(96, 160)`.
        sampler: which frames make a clip. `dense_stride`: every `frame_stride`-th from a random start;
            `videomae_dense`: as published for fine-tuning; `tsn_segments`: one of each of `num_frames` equal parts of
            the video, as published for Something-Something; `dense_stride_center` and `tsn_midpoints`: always the
            same frames.
        in_channels: of a pixel.
        channels: what these are: `rgb`; `grey`, the luma of videos; `stored`, those of arrays, as many as there are.
            None: what fits: `rgb` for three, `grey` for one, else `stored`.
        window: of arrays, what becomes black and what white, as `(-1000, 400)`; None: they are uint8.
        mean: of each channel in [0, 1], by which models normalise; None: ImageNet's for three channels, else 0.5.
        std: the standard deviation that goes with `mean`; None: likewise.
        resize: of videos of another aspect: `crop`: what lies in the middle, in training at random; `letterbox`: all of
            the picture between black bars; `stretch`: all of it, its aspect changed.

    Raises:
        ConfigError: a number below 1, no such sampler, or channels that do not fit each other.

    Example:
        >>> import mae
        >>> clip = mae.Clip(num_frames=4, frame_stride=2, image_size=24)
        >>> clip.kind, clip.mean
        ('dense', (0.485, 0.456, 0.406))
    """

    num_frames: int = 16
    frame_stride: int = 4
    image_size: PictureSize = 224
    sampler: str = "dense_stride"
    in_channels: int = 3
    channels: str | None = None
    window: Sequence[float] | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    resize: str = "crop"

    def __post_init__(self) -> None:
        check_at_least(1, self, "num_frames", "frame_stride", "in_channels")
        object.__setattr__(self, "image_size", picture_size("image_size", self.image_size))
        check_choice("sampler", self.sampler, SAMPLERS)
        check_choice("resize", self.resize, RESIZES)
        # What follows is filled in, so that clips are equal where they are the same.
        decoded = self.decoding()
        for name, value in (
            ("channels", decoded.channels),
            ("window", decoded.window),
            *statistics_of(self.in_channels, self.mean, self.std)._asdict().items(),
        ):
            object.__setattr__(self, name, value)

    def decoding(self, decoder: str = "pyav") -> Decoding:
        """What pixels are made of frames; `decoder` of video files, as in `mae.Reading`."""
        return decoding(self.in_channels, self.channels, self.window, decoder, prefix="")

    @property
    def statistics(self) -> Statistics:
        """`mean` and `std`."""
        return statistics_of(self.in_channels, self.mean, self.std)

    @property
    def kind(self) -> str:
        """How the sampler sees a video: `dense` or `segments`."""
        return KINDS[self.sampler]


def augmentation(recipe: str, **overrides: Any) -> Augmentation:
    """What is done to training clips by a published recipe, with some of it replaced.

    Every draw is the same for all frames of a clip.

    Args:
        recipe: `pretraining` (VideoMAE, arXiv:2203.12602, appendix: crops of several scales) or `finetuning` (crops of
            any size and shape, mirrored, RandAugment, erasing).
        overrides: `crop` (`multi_scale`, `random_resized` or `center`), `flip` (not where a class tells left from
            right), `brightness`, `contrast`, `saturation` (a factor in [1 − x, 1 + x]), `hue` (turns of the colour
            circle in [−x, x]), `rand_augment` (as `rand-m7-n4-mstd0.5-inc1`, or None), `erase_probability`.

    Raises:
        ConfigError: no such recipe or setting, or a value that it does not take.

    Example:
        >>> import mae
        >>> augment = mae.augmentation("finetuning", flip=False)
        >>> augment.crop, augment.flip, augment.erase_probability
        ('random_resized', False, 0.25)
    """
    check_choice("augmentation", recipe, AUGMENTATIONS)
    for name in overrides:
        check_choice("setting of an augmentation", name, [field.name for field in fields(Augmentation)])
    return replace(AUGMENTATIONS[recipe], **overrides)
