"""RandAugment (arXiv:1909.13719) of clips: a few random operations of one strength, the same on every frame.

Operations are Pillow's; their ranges are AutoAugment's (arXiv:1805.09501, table 6) over a magnitude of 0 … 10. The
description and the "increasing" ranges are those of the timm library, which the published recipes use.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from mae.data.transforms.images import apply_in_turn
from mae.errors import ConfigError

LARGEST_MAGNITUDE = 10
PROBABILITY = 0.5  # that a drawn operation is applied
FILL = (128, 128, 128)  # where an operation moves the picture's edge inwards
SOLARIZE_ADD_BELOW = 128  # grey levels


class Operation(NamedTuple):
    """One operation with its argument: degrees, fraction of the width, bits … 0 where it takes none."""

    name: str
    value: float


@dataclass(frozen=True)
class RandAugment:
    """What a description such as `rand-m7-n4-mstd0.5-inc1` says; the defaults are those of absent parts."""

    magnitude: int = 10  # m: 0 … 10
    num_operations: int = 2  # n: drawn per clip, with replacement
    magnitude_std: float = 0.0  # mstd: of the normal noise on each magnitude, which stays within 0 … 10
    increasing: bool = False  # inc: every operation grows stronger with its magnitude


def parse_rand_augment(description: str) -> RandAugment:
    """Reads a description in the form of timm: `rand`, then m, n, mstd, inc in any order, joined by dashes.

    Raises:
        ConfigError: anything else, also timm's `w`, `p` and `mmax`.
    """
    kind, *parts = description.split("-")
    found = [re.fullmatch(r"(mstd|inc|m|n)(\d+(?:\.\d+)?)", part) for part in parts]
    values = {match[1]: match[2] for match in found if match}
    whole = all("." not in values[key] for key in ("m", "n", "inc") if key in values)
    if kind == "rand" and all(found) and len(values) == len(parts) and whole:
        parsed = RandAugment(
            int(values.get("m", 10)),
            int(values.get("n", 2)),
            float(values.get("mstd", 0)),
            values.get("inc", "0") == "1",
        )
        in_range = parsed.magnitude <= LARGEST_MAGNITUDE and parsed.magnitude_std <= LARGEST_MAGNITUDE
        if in_range and parsed.num_operations >= 1 and values.get("inc", "0") in ("0", "1"):
            return parsed
    raise ConfigError(
        f"RandAugment {description!r} cannot be read; write rand and, joined by dashes and each at most once, m<0-10>"
        " n<1 or more> mstd<0-10> inc<0 or 1>, as in rand-m7-n4-mstd0.5-inc1"
    )


# Per operation: whether it has a direction, drawn with even chances, and its value at a signed strength in [-1, 1].
_INCREASING: dict[str, tuple[bool, Callable[[float], float]]] = {
    "AutoContrast": (False, lambda s: 0),
    "Equalize": (False, lambda s: 0),
    "Invert": (False, lambda s: 0),
    "Rotate": (True, lambda s: 30 * s),  # degrees
    "Posterize": (False, lambda s: 4 - int(4 * s)),  # bits that are kept
    "Solarize": (False, lambda s: 256 - int(256 * s)),  # grey level from which on values are inverted
    "SolarizeAdd": (False, lambda s: int(110 * s)),  # grey levels added to the dark values
    "Color": (True, lambda s: 1 + 0.9 * s),  # factors: 1 leaves the picture as it is
    "Contrast": (True, lambda s: 1 + 0.9 * s),
    "Brightness": (True, lambda s: 1 + 0.9 * s),
    "Sharpness": (True, lambda s: 1 + 0.9 * s),
    "ShearX": (True, lambda s: 0.3 * s),  # pixels per pixel
    "ShearY": (True, lambda s: 0.3 * s),
    "TranslateX": (True, lambda s: 0.45 * s),  # fractions of the picture's width
    "TranslateY": (True, lambda s: 0.45 * s),  # … and height
}
# Without `inc1` these run from one end of AutoAugment's range to the other, the weakest point in between.
_PLAIN = _INCREASING | {
    "Posterize": (False, lambda s: int(4 * s)),
    "Solarize": (False, lambda s: int(256 * s)),
    **dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), (False, lambda s: 0.1 + 1.8 * s)),
}
OPERATIONS = tuple(_INCREASING)


def value_of(name: str, magnitude: float, increasing: bool, negative: bool = False) -> float:
    """The argument of an operation at a magnitude of 0 … 10; `negative` counts for those with a direction."""
    directed, value = (_INCREASING if increasing else _PLAIN)[name]
    strength = magnitude / LARGEST_MAGNITUDE
    return value(-strength if directed and negative else strength)


def draw_operations(spec: RandAugment, rng: np.random.Generator) -> tuple[Operation, ...]:
    """The operations of one clip: `num_operations` draws, each of which counts with probability ½."""
    drawn = []
    for _ in range(spec.num_operations):
        name = OPERATIONS[rng.integers(len(OPERATIONS))]
        applied, negative = rng.random(2) < (PROBABILITY, 0.5)
        magnitude = np.clip(rng.normal(spec.magnitude, spec.magnitude_std), 0, LARGEST_MAGNITUDE)
        if applied:
            drawn.append(Operation(name, value_of(name, float(magnitude), spec.increasing, bool(negative))))
    return tuple(drawn)


def apply_operations(frames: np.ndarray, operations: tuple[Operation, ...]) -> np.ndarray:
    """The operations one after the other on every frame: (T, H, W, 3) uint8 RGB → the same shape and type.

    Resampling is bilinear (timm draws bilinear or bicubic; bicubic takes twice as long). AutoContrast, Equalize and
    Contrast look at each frame's own histogram, so equal frames stay equal but a change of light is evened out.
    """
    return apply_in_turn(frames, operations, _APPLY)


def rand_augment(frames: np.ndarray, spec: RandAugment, rng: np.random.Generator) -> np.ndarray:
    """Random operations on a clip: (T, H, W, 3) uint8 RGB → the same shape and type, `frames` itself for none."""
    return apply_operations(frames, draw_operations(spec, rng))


def _moved(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    """Pixel (x, y) of the result shows (a·x + b·y + c, d·x + e·y + f) of the image."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=FILL)


def _posterize(image: Image.Image, value: float) -> Image.Image:
    # As ImageOps.posterize, which refuses the 0 bits of magnitude 10.
    step = 2 ** (8 - int(value))
    return image.point([level // step * step for level in range(256)] * 3)


def _solarize_add(image: Image.Image, value: float) -> Image.Image:
    table = [min(level + int(value), 255) if level < SOLARIZE_ADD_BELOW else level for level in range(256)]
    return image.point(table * 3)


_APPLY: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "AutoContrast": lambda image, value: ImageOps.autocontrast(image),
    "Equalize": lambda image, value: ImageOps.equalize(image),
    "Invert": lambda image, value: ImageOps.invert(image),
    "Rotate": lambda image, value: image.rotate(value, Image.Resampling.BILINEAR, fillcolor=FILL),
    "Posterize": _posterize,
    "Solarize": lambda image, value: ImageOps.solarize(image, int(value)),
    "SolarizeAdd": _solarize_add,
    "Color": lambda image, value: ImageEnhance.Color(image).enhance(value),
    "Contrast": lambda image, value: ImageEnhance.Contrast(image).enhance(value),
    "Brightness": lambda image, value: ImageEnhance.Brightness(image).enhance(value),
    "Sharpness": lambda image, value: ImageEnhance.Sharpness(image).enhance(value),
    "ShearX": lambda image, value: _moved(image, (1, value, 0, 0, 1, 0)),
    "ShearY": lambda image, value: _moved(image, (1, 0, 0, value, 1, 0)),
    "TranslateX": lambda image, value: _moved(image, (1, 0, value * image.width, 0, 1, 0)),
    "TranslateY": lambda image, value: _moved(image, (1, 0, 0, 0, 1, value * image.height)),
}
