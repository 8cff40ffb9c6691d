"""Pictures of reconstructions: original, masked, reconstructed frames of a few clips on one labelled sheet.

A picture can be drawn from arrays of any model. Shapes: `k` clips of `T` frames,
`n = t*h*w` tokens in row-major (t, h, w) order, patches of `pt*ph*pw` pixels with `c` channels.
"""

from pathlib import Path

import cv2
import numpy as np
from einops import rearrange, repeat

from mae.errors import ConfigError
from mae.files import replacing
from mae.monitoring.sheets import View, draw_moving

Triple = tuple[int, int, int]

GREY = 0.5  # of a masked patch
BLANK = 0.9  # of a visible patch where only what was predicted is shown
FROM_ORIGINAL = ("patch mean and contrast", "of the original")
FROM_VISIBLE = ("patch mean and contrast", "of visible patches")


def reconstruction_views(
    originals: np.ndarray,
    is_masked: np.ndarray,
    reconstruction: np.ndarray,
    grid: Triple,
    patch: Triple,
    uses_original_statistics: bool = True,
    reconstruction_without_statistics: np.ndarray | None = None,
) -> list[list[View]]:
    """Three groups: original and masked; what was predicted, alone; the same among the visible patches.

    `originals`, `reconstruction`, `reconstruction_without_statistics`: (k, T, H, W, c), uint8 or float in [0, 1]
    (values outside are clipped); whole videos whose visible patches are the original pixels. `is_masked`: (k, n)
    bool. `grid`: (t, h, w) tokens; `patch`: (pt, ph, pw) pixels, T = t*pt and so on. `uses_original_statistics`:
    the targets were normalised, so the reconstruction got each patch's mean and std back from the original; the
    label says so, because half of what one sees there was never predicted. One channel is shown in grey, of more
    than three the first three. Raises ValueError where shapes do not fit each other.
    """
    made = [(FROM_ORIGINAL if uses_original_statistics else (), reconstruction)]
    if reconstruction_without_statistics is not None:
        made.append((FROM_VISIBLE, reconstruction_without_statistics))
    size = tuple(g * p for g, p in zip(grid, patch, strict=True))
    for name, video in (("originals", originals), *(("reconstruction", video) for _, video in made)):
        if video.shape != originals.shape or video.ndim != 5 or video.shape[1:4] != size:
            raise ValueError(f"{name}: shape {video.shape}, expected (clips, *{size}, channels) as the originals")
    hidden = mask_to_pixels(is_masked, grid, patch)[..., None]
    shown = [(source, _rgb(video)) for source, video in made]
    return [
        _original_and_masked(originals, is_masked, hidden),
        [View(("predicted patches", *source), np.where(hidden, video, np.float32(BLANK))) for source, video in shown],
        [View(("predicted and visible", *source), video) for source, video in shown],
    ]


def difference_views(
    originals: np.ndarray,
    is_masked: np.ndarray,
    neighbours: np.ndarray,
    differences: np.ndarray,
    grid: Triple,
    patch: Triple,
) -> list[list[View]]:
    """Three groups: original and masked; differences, true ones and predicted ones; the latter added to `neighbours`.

    Differences are shown as they are: what stands still is grey, the largest true one white or black. Where a patch is
    visible nothing is predicted, which is left blank.

    `originals`, `is_masked`, `grid`, `patch`: as of `reconstruction_views`. `neighbours`: the frames of the original
    that `differences` in [-1, 1] are to, both (k, T, H, W, c).
    """
    true = _unit(originals) - neighbours
    largest = max(float(np.abs(true).max()), 1 / 255)
    hidden = mask_to_pixels(is_masked, grid, patch)[..., None]
    shown, predicted = (_rgb(0.5 + video / (2 * largest)) for video in (true, differences))
    return [
        _original_and_masked(originals, is_masked, hidden),
        [
            View(("minus the frame before", f"white +{largest:.2f}, black -{largest:.2f}"), shown),
            View(("predicted difference",), np.where(hidden, predicted, np.float32(BLANK))),
        ],
        [View(("… added to the", "original's frame before"), _rgb(neighbours + differences))],
    ]


def _original_and_masked(originals: np.ndarray, is_masked: np.ndarray, hidden: np.ndarray) -> list[View]:
    """`hidden`: (k, T, H, W, 1) bool."""
    original = _rgb(originals)
    masked = np.where(hidden, np.float32(GREY), original)
    return [View(("original",), original), View((f"masked ({np.mean(is_masked):.0%})",), masked)]


def reconstruction_movie(columns: list[list[View]], title: str) -> np.ndarray:
    """The first clip of views in three groups, moving: (T, height, width, 3) uint8 RGB."""
    first, *others = columns
    if len(others[0]) == 1:  # two and two
        others = [[view for column in others for view in column]]
    return draw_moving([first, *others], title)


def panel_title(step: int | None, loss: float, psnr_db: float, mask_ratio: float) -> str:
    """The title line; `step` where it is known, `psnr_db` in dB over masked pixels, `mask_ratio` a fraction."""
    trained = "" if step is None else f"step {step}   "
    return f"{trained}loss {loss:.4f}   psnr {psnr_db:.2f} dB (masked pixels)   mask {mask_ratio:.0%}"


def mask_to_pixels(is_masked: np.ndarray, grid: Triple, patch: Triple) -> np.ndarray:
    """Token mask (k, t*h*w) bool -> pixel mask (k, t*pt, h*ph, w*pw) bool."""
    (t, h, w), (pt, ph, pw) = grid, patch
    tokens = rearrange(np.asarray(is_masked, bool), "k (t h w) -> k t h w", t=t, h=h, w=w)
    return repeat(tokens, "k t h w -> k (t pt) (h ph) (w pw)", pt=pt, ph=ph, pw=pw)


def psnr(original: np.ndarray, reconstruction: np.ndarray, is_masked: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over the masked pixels only.

    `original`, `reconstruction`: (k, T, H, W, c), uint8 or float in [0, 1]; `is_masked`: (k, T, H, W) bool (see
    `mask_to_pixels`). Infinite where they agree exactly. Raises ValueError if no pixel is masked.
    """
    if not np.any(is_masked):
        raise ValueError("psnr over masked pixels: no pixel is masked")
    difference = _unit(original)[is_masked] - _unit(reconstruction)[is_masked]
    error = np.mean(np.square(difference, dtype=np.float64))
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def patch_statistics_from_visible(
    patches: np.ndarray, is_masked: np.ndarray, grid: Triple
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and std per patch and channel, for masked patches guessed without looking at them.

    `patches`: (k, n, p, c) pixels, p in (tubelet frame, row, column) order; `is_masked`: (k, n) bool;
    `grid`: (t, h, w). A visible patch has its own statistics (std with p - 1, as the targets have); a masked one
    the average over the visible patches of its clip, weighted by distance in the token grid.

    Returns mean, std: both (k, n, 1, c) float32. Raises ValueError for a clip without a visible patch.
    """
    patches = np.asarray(patches, np.float32)
    statistics = np.stack([patches.mean(axis=2), patches.std(axis=2, ddof=1)], axis=-1)  # k n c 2
    where = np.stack(np.unravel_index(np.arange(np.prod(grid)), grid), axis=-1).astype(np.float32)  # n 3
    for clip, masked in zip(statistics, np.asarray(is_masked, bool), strict=True):
        if masked.all():
            raise ValueError("statistics from visible patches: a clip has no visible patch")
        offsets = where[masked][:, None] - where[~masked][None]
        # Fourth power of the distance: in three dimensions anything up to the third lets the many far patches
        # outweigh the few near ones, and every masked patch would get the mean of the clip.
        weights = np.square(offsets).sum(-1) ** -2
        weights /= weights.sum(-1, keepdims=True)
        clip[masked] = np.einsum("mv,vcs->mcs", weights, clip[~masked])
    return statistics[:, :, None, :, 0], statistics[:, :, None, :, 1]


def save_png(path: str | Path, image: np.ndarray) -> None:
    """Write a uint8 RGB image; the file appears whole or not at all. Makes the directory."""
    written, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not written:
        raise ConfigError(f"{path}: OpenCV cannot encode PNG; reinstall opencv-python-headless")
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())


def _unit(video: np.ndarray) -> np.ndarray:
    """uint8 or float -> float32 in [0, 1]."""
    if video.dtype == np.uint8:
        return video.astype(np.float32) / 255
    return np.clip(np.asarray(video, np.float32), 0, 1)


def _rgb(video: np.ndarray) -> np.ndarray:
    """(k, f, H, W, c) -> (k, f, H, W, 3) float32 in [0, 1]."""
    return in_colours(_unit(video))


def in_colours(video: np.ndarray) -> np.ndarray:
    """What is shown of pixels: their first three channels as red, green and blue, of fewer the first in grey.

    (…, c) of any type → (…, 3) of the same.
    """
    return np.repeat(video[..., :1], 3, axis=-1) if video.shape[-1] < 3 else video[..., :3]
