"""Random brightness, contrast, saturation and hue of clips, drawn once per clip."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import cv2
import numpy as np
from PIL import Image, ImageEnhance

from mae.data.transforms.images import apply_in_turn
from mae.errors import ConfigError


@dataclass(frozen=True)
class ColorJitter:
    """How far colours may change; 0 leaves one as it is. The definition is torchvision's."""

    brightness: float = 0.0  # a factor in [1 − x, 1 + x], never below 0; the same for the next two
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0  # turns of the colour circle, in [−x, x]; at most half a turn

    def __post_init__(self) -> None:
        for field in fields(self):
            value, most = getattr(self, field.name), 0.5 if field.name == "hue" else np.inf
            if not 0 <= value <= most:
                raise ConfigError(
                    f"colour jitter: {field.name}={value} must be at least 0"
                    + (" and at most 0.5, half a turn" if field.name == "hue" else "")
                )


def draw_adjustments(jitter: ColorJitter, rng: np.random.Generator) -> tuple[tuple[str, float], ...]:
    """What is done to one clip: (name, factor or turns), in random order, without those whose range is 0."""
    adjustments = [
        (name, float(rng.uniform(max(0.0, 1 - strength), 1 + strength)))
        for name in ("brightness", "contrast", "saturation")
        if (strength := getattr(jitter, name))
    ]
    if jitter.hue:
        adjustments.append(("hue", float(rng.uniform(-jitter.hue, jitter.hue))))
    return tuple(adjustments[k] for k in rng.permutation(len(adjustments)))


def adjust_colors(frames: np.ndarray, adjustments: tuple[tuple[str, float], ...]) -> np.ndarray:
    """The adjustments one after the other on every frame: (T, H, W, 3) uint8 RGB → the same shape and type.

    Brightness blends with black, contrast with the frame's mean grey, saturation with the frame in grey: factor 0
    is that alone, 1 the frame itself.
    """
    return apply_in_turn(frames, adjustments, _ADJUST)


def color_jitter(frames: np.ndarray, jitter: ColorJitter, rng: np.random.Generator) -> np.ndarray:
    """Random colours for a clip: (T, H, W, 3) uint8 RGB → the same shape and type, `frames` itself for none."""
    return adjust_colors(frames, draw_adjustments(jitter, rng))


def _turned(image: Image.Image, turns: float) -> Image.Image:
    # In real numbers: whole-number HSV alone would shift colours by several levels.
    hsv = cv2.cvtColor(np.asarray(image, np.float32) / 255, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + 360 * turns) % 360
    return Image.fromarray(np.rint(255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)).astype(np.uint8))


_ADJUST: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "saturation": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "hue": _turned,
}
