"""Natural pictures that scikit-image and scikit-learn have in their wheels, and a camera that looks at them.

Held-out videos show other parts of them than those one trains on, so that no background is known by sight.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from mae.cli.commands import to_install
from mae.data.rendered.shapes import FRAME_SIZE
from mae.errors import ConfigError

PICTURES = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "china",
    "coffee",
    "coins",
    "flower",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "stereo_motorcycle",
)
_OF_SCIKIT_LEARN = ("china", "flower")
SHORTER_SIDE = 160  # pixels, so that a frame shows a good part of a picture
HELD_OUT_SHARE = 0.4  # of each picture's width, on the right


@dataclass(frozen=True)
class View:
    """What a frame shows of a picture."""

    x: float  # pixels of the picture: its centre, which may lie anywhere in the plane that `look` describes
    y: float
    angle: float = 0.0  # radians that the camera is turned, clockwise
    scale: float = 1.0  # pixels of the picture to one of the frame; above 1 would need filtering first


def draw_picture(rng: np.random.Generator, held_out: bool) -> np.ndarray:
    """A part of one of the pictures, (H, W, 3) uint8, its colour channels in any order, so that colours say little."""
    pictures = load_pictures(held_out)
    return np.ascontiguousarray(pictures[rng.integers(len(pictures))][..., rng.permutation(3)])


def draw_place(rng: np.random.Generator, picture: np.ndarray) -> tuple[float, float]:
    """A point of the plane of `look`, uniform: it stays uniform when anything is added to it."""
    height, width = picture.shape[:2]
    return rng.uniform(0, 2 * width), rng.uniform(0, 2 * height)


def look(picture: np.ndarray, view: View, size: int = FRAME_SIZE) -> np.ndarray:
    """The frame that a camera sees, (size, size, 3) uint8.

    The picture is mirrored at its edges without end, so the plane it covers has no border and a period of twice its
    size in each direction. A whole pixel of the picture is centred at a whole number.
    """
    cosine, sine = view.scale * np.cos(view.angle), view.scale * np.sin(view.angle)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    corner = np.array([view.x, view.y]) - linear @ np.full(2, (size - 1) / 2)
    return cv2.warpAffine(
        picture,
        np.column_stack([linear, corner]),
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )


@cache
def load_pictures(held_out: bool) -> tuple[np.ndarray, ...]:
    """The left part of each picture, or the right one that is held out, (H, W, 3) uint8 RGB each.

    Raises:
        ConfigError: one of the two packages is not installed.
    """
    parts = []
    for picture in map(_load, PICTURES):
        cut = round((1 - HELD_OUT_SHARE) * picture.shape[1])
        parts.append(picture[:, cut:] if held_out else picture[:, :cut])
    return tuple(parts)


def _load(name: str) -> np.ndarray:
    """A whole picture, (H, W, 3) uint8, with `SHORTER_SIDE`."""
    try:
        if name in _OF_SCIKIT_LEARN:
            from sklearn.datasets import load_sample_image

            picture = load_sample_image(f"{name}.jpg")
        else:
            import skimage.data

            picture = getattr(skimage.data, name)()
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("skimage", "sklearn"):
            raise
        raise ConfigError(
            "this data set shows pictures of scikit-image and scikit-learn, which are not installed: "
            f"{to_install('sets')}"
        ) from error
    if isinstance(picture, tuple):  # a stereo pair and the disparity
        picture = picture[0]
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    ratio = SHORTER_SIDE / min(picture.shape[:2])
    size = tuple(round(ratio * length) for length in reversed(picture.shape[:2]))
    return _equalised(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _equalised(picture: np.ndarray) -> np.ndarray:
    """The picture with about the same contrast everywhere, so that no part is too flat to show how it moves."""
    lightness, *colour = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2LAB))
    lightness = cv2.createCLAHE(clipLimit=4.0, tileGridSize=(8, 8)).apply(lightness)
    return cv2.cvtColor(cv2.merge([lightness, *colour]), cv2.COLOR_LAB2RGB)
