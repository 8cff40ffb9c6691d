"""What the decoder is asked to predict, as settings: what is computed of them is in `mae.targets`."""

from dataclasses import dataclass

from mae.errors import ConfigError, check_choice
from mae.options import LOSS_WEIGHTS, TARGET_SCALES, TARGETS

DIFFERENCE = "difference"


@dataclass(frozen=True)
class Target:
    """What is predicted. Raises `ConfigError` for what cannot be."""

    name: str = "videomae"  # a name of `mae.options.TARGETS`
    scale: str = "clip"  # of differences: what they are divided by, see `mae.targets.difference_scale`
    pixels: float = 0.0  # of differences: the share of the frame itself beside them, in [0, 1)
    weight: str = "none"  # of a patch in the loss: a name of `mae.options.LOSS_WEIGHTS`, see `mae.targets`

    def __post_init__(self) -> None:
        check_choice("target", self.name, TARGETS)
        check_choice("target_scale", self.scale, TARGET_SCALES)
        check_choice("loss_weight", self.weight, LOSS_WEIGHTS)
        if not 0 <= self.pixels < 1:
            raise ConfigError(f"target_pixels={self.pixels} must lie in [0, 1); target=pixels predicts pixels alone")

    @classmethod
    def of(cls, target: "str | Target") -> "Target":
        """A target by its name alone, or one that is one already."""
        return target if isinstance(target, Target) else cls(target)

    @property
    def is_difference(self) -> bool:
        return self.name == DIFFERENCE

    @property
    def compares_frames(self) -> bool:
        """Whether a clip needs more than one frame."""
        return self.is_difference or self.weight == "motion"

    def check_frames(self, num_frames: int) -> None:
        """Raises `ConfigError` where a clip of so many frames has no such target."""
        if self.compares_frames and num_frames < 2:
            what = f"target={self.name}" if self.is_difference else f"loss_weight={self.weight}"
            raise ConfigError(f"{what} compares frames, and num_frames={num_frames}: give 2 or more")

    def __str__(self) -> str:
        pixels = f" and pixels {self.pixels:g}" if self.pixels else ""
        scale = "unscaled" if self.scale == "none" else f"scaled by {self.scale}"
        told = f"{self.name}{pixels}, {scale}" if self.is_difference else self.name
        return told if self.weight == "none" else f"{told}, weighted by {self.weight}"
