"""Which part of a picture a clip shows, apart from the pixels.

A `Crop` is computed once per clip from the size of the video; `crop_frame` cuts it out of one frame at a time, so
frames are cropped while they are decoded, whatever the order of their colours.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

SCALES = (1.0, 0.875, 0.75, 0.66)  # of the short side; scale jittering of TSN (arXiv:1608.00859)
MAX_SCALE_DISTANCE = 1  # between height and width, in places of SCALES: bounds the aspect ratio
SCALE_PAIRS = tuple(
    (i, j)
    for i in range(len(SCALES))
    for j in range(len(SCALES))
    if abs(i - j) <= MAX_SCALE_DISTANCE
)  # fmt: skip
# (down, right) in quarters of the room a crop leaves: corners, centre, mid-edges, quarter points.
OFFSETS = (
    *((0, 0), (0, 4), (4, 0), (4, 4)),
    (2, 2),
    *((0, 2), (2, 0), (2, 4), (4, 2)),
    *((1, 1), (1, 3), (3, 1), (3, 3)),
)

Box = tuple[int, int, int, int]  # top, left, height, width in pixels of the video
Size = tuple[int, int]  # height, width

# Of the Inception crop (arXiv:1409.4842), as fine-tuning uses it.
AREA_SCALE = (0.08, 1.0)  # of the picture's area
ASPECT_RATIO = (3 / 4, 4 / 3)  # width / height
TRIES = 10
SQUARE = (1, 1)  # a size whose aspect is meant


@dataclass(frozen=True)
class Crop:
    """A box of the video, resized, on which a window is the picture; all in pixels.

    What lies beyond the box is black: the bars of a letterbox.

    Training boxes are resized to the window itself. Evaluation views resize the whole frame and cut afterwards,
    as published: cutting first would change the pixels at the window's edge.
    """

    box: Box
    resized: Size  # what the box is resized to
    window: Size  # top, left of the picture within the resized box; below 0 where bars come before it
    size: Size  # of the picture
    flip: bool = False  # mirrored left to right, at last


def crop_of_box(box: Box, size: Size, resized: Size | None = None) -> Crop:
    """The whole box as a picture of `size`, or as `resized` in the middle of one; its aspect is not kept."""
    resized = resized or size
    return Crop(box, resized, _middle(resized, size), size)


def resized_whole(height: int, width: int, size: Size, resize: str) -> Size:
    """Height and width that a video of another aspect is resized to, to become pictures of `size`.

    - `crop`: it just covers them; what it has more is cut off.
    - `letterbox`: it just fits in; the rest is black bars.
    - `stretch`: it becomes them, its aspect changed.
    """
    if resize == "stretch":
        return size
    is_wide = height * size[1] <= width * size[0]
    if is_wide == (resize == "crop"):
        return size[0], max(round(width * size[0] / height), 1)
    return max(round(height * size[1] / width), 1), size[1]


def _middle(whole: Size, size: Size) -> Size:
    """Where a window of `size` begins that lies in the middle of `whole`, or has it in its own."""
    top, left = (room // 2 if room > 0 else -(-room // 2) for room in (whole[0] - size[0], whole[1] - size[1]))
    return top, left


def resized(picture: np.ndarray, size: Size) -> np.ndarray:
    """(H, W, c) → (height, width, c), bilinear without smoothing first."""
    return _with_channels(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR))


def _with_channels(picture: np.ndarray) -> np.ndarray:
    """A picture of OpenCV's, which drops the axis of one channel: (H, W) or (H, W, c) → (H, W, c)."""
    return picture[..., None] if picture.ndim == 2 else picture


def crop_frame(frame: np.ndarray, crop: Crop) -> np.ndarray:
    """Cuts a crop out of one frame: (H, W, c) uint8 → (*size, c) uint8, contiguous memory of its own.

    Resizing is bilinear without smoothing first, as in the published recipes, however small the picture gets.
    """
    top, left, height, width = crop.box
    picture = frame[top : top + height, left : left + width]
    is_resized = (height, width) != crop.resized
    if is_resized:
        picture = resized(picture, crop.resized)
    (top, left), (height, width) = crop.window, crop.size
    if picture.shape[0] < height or picture.shape[1] < width:
        picture, is_resized = _between_bars(picture, crop), True  # new memory
    else:
        picture = picture[top : top + height, left : left + width]
    if crop.flip:
        return _with_channels(cv2.flip(picture, 1))
    return np.ascontiguousarray(picture) if is_resized else picture.copy()


def _between_bars(picture: np.ndarray, crop: Crop) -> np.ndarray:
    """The picture, no larger than the window either way, at its place in it."""
    whole = np.zeros((*crop.size, picture.shape[2]), picture.dtype)
    (height, width), (top, left) = picture.shape[:2], (-start for start in crop.window)
    whole[top : top + height, left : left + width] = picture
    return whole


def largest_box(height: int, width: int, size: Size) -> tuple[float, float]:
    """Height and width of the largest box in a picture that has the aspect of `size`: of a square the short side."""
    if height * size[1] <= width * size[0]:
        return height, height * size[1] / size[0]
    return width * size[0] / size[1], width


def multi_scale_crop_box(height: int, width: int, rng: np.random.Generator, size: Size = SQUARE) -> Box:
    """A random box of the published pre-training augmentation.

    Height and width are each one of `SCALES` of the largest box with the aspect of `size`, at most one scale apart; the
    place is one of the 13 `OFFSETS`. All pairs and all places are equally likely.
    """
    i, j = SCALE_PAIRS[rng.integers(len(SCALE_PAIRS))]
    down, right = OFFSETS[rng.integers(len(OFFSETS))]
    largest = largest_box(height, width, size)
    box_height, box_width = (max(int(side * SCALES[k]), 1) for side, k in zip(largest, (i, j), strict=True))
    return (height - box_height) * down // 4, (width - box_width) * right // 4, box_height, box_width


def random_resized_crop_box(
    height: int,
    width: int,
    rng: np.random.Generator,
    size: Size = SQUARE,
    scale: tuple[float, float] = AREA_SCALE,
) -> Box:
    """A random box of the published fine-tuning augmentation (Inception crop, arXiv:1409.4842).

    Its area is uniform in `scale` of the picture's, its width / height log-uniform in `ASPECT_RATIO` of that of
    `size`, its place uniform. After ten boxes that do not fit: the largest central one whose ratio is not beyond.
    """
    narrowest, widest = (limit * size[1] / size[0] for limit in ASPECT_RATIO)
    for _ in range(TRIES):
        area = rng.uniform(*scale) * height * width
        aspect = math.exp(rng.uniform(math.log(narrowest), math.log(widest)))
        box_height, box_width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < box_height <= height and 0 < box_width <= width:
            top, left = rng.integers(height - box_height + 1), rng.integers(width - box_width + 1)
            return int(top), int(left), box_height, box_width
    box_height = max(min(height, round(width / narrowest)), 1)
    box_width = max(min(width, round(height * widest)), 1)
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def view_crops(height: int, width: int, size: Size, crops: int, resize: str = "crop") -> tuple[Crop, ...]:
    """The views of evaluation: the video resized, then pictures of `size` spread over what it has more.

    Of squares: short side resized to theirs, long side where they are spread. One crop lies in the middle; `crops` of
    them at 0, 1/(crops − 1), … 1 of the room, so three at 0, ½, 1. Without room, as for a video of the aspect of `size`
    and in a letterbox, all are the same picture.

    Args:
        resize: crop | letterbox | stretch, see `resized_whole`.
    """
    if crops < 1:
        raise ValueError(f"{crops} crops of a video; at least 1 is needed")
    whole = resized_whole(height, width, size, resize)
    middle, room = _middle(whole, size), [max(has - wants, 0) for has, wants in zip(whole, size, strict=True)]
    windows = [middle] * crops
    if crops > 1 and max(room) > 0:
        windows = [(room[0] * k // (crops - 1), room[1] * k // (crops - 1)) for k in range(crops)]
    return tuple(Crop((0, 0, height, width), whole, window, size) for window in windows)


def flipped_at_random(crop: Crop, rng: np.random.Generator, probability: float = 0.5) -> Crop:
    """The crop, mirrored left to right with the given probability. Not for classes that tell left from right."""
    return replace(crop, flip=bool(rng.random() < probability))
