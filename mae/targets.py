"""What the decoder is asked to predict of hidden patches, and how much each of them counts in the loss.

The published targets are those of `mae.patches.normalised_target`. They ask for every patch of a still background, in
every frame, as much as for what moves before it. A difference between frames is zero there.
"""

from typing import Any

from keras import ops

from mae.patches import gather_patches, in_unit_range, normalised_target
from mae.target_config import Target

STEP = 1 / 255  # between two values of a pixel: what moves less than that does not move


def neighbours(videos: Any) -> Any:
    """The frame before each frame, and for the first, which has none, the one after it; the shape of (b, T, …)."""
    return ops.concatenate([videos[:, 1:2], videos[:, :-1]], axis=1)


def differences(pixels: Any, share: float = 0.0) -> Any:
    """Every frame minus its neighbour: the frame before, whether in the same tubelet or in the one before.

    With a share s of pixels it is (1 − s)·(frame − neighbour) + s·(frame − mean of the clip, for each channel).

    Args:
        pixels: (b, T, H, W, c) in [0, 1], or uint8.

    Returns:
        The same shape, float32.
    """
    pixels = in_unit_range(pixels)
    made = pixels - neighbours(pixels)
    if share:
        made = (1 - share) * made + share * (pixels - ops.mean(pixels, axis=(1, 2, 3), keepdims=True))
    return made


def difference_scale(patches: Any, clip: Any, scale: str) -> Any:
    """What differences are divided by: (b, m, p) of some patches and (b, T, H, W, c) of their clips → (b, m or 1, 1).

    - `clip`: their root mean square over the whole clip, so that clips of strong and of weak contrast count alike.
    - `patch`: over the patch, but no less than over the clip, so that what hardly moves is not blown up.
    - `none`: 1.

    The root mean square of a clip counts as one step of uint8 at least: a clip that stands still stays at zero.
    """
    if scale == "none":
        return ops.ones((1, 1, 1), "float32")
    squares = ops.mean(ops.square(clip), axis=(1, 2, 3, 4))
    of_clip = ops.maximum(ops.sqrt(squares), STEP)[:, None, None]
    if scale == "clip":
        return of_clip
    return ops.maximum(ops.sqrt(ops.mean(ops.square(patches), axis=2, keepdims=True)), of_clip)


def expected_differences(pixels: Any, indices: Any, *, tubelet: tuple[int, int, int], scale: str, share: float) -> Any:
    """The target `difference` of some patches: pixels (b, T, H, W, c), indices (b, m) → (b, m, pt·ph·pw·c) float32."""
    clip = differences(pixels, share)
    patches = gather_patches(clip, indices, tubelet)
    return patches / difference_scale(patches, clip, scale)


def added_to_neighbours(
    predicted: Any, pixels: Any, indices: Any, target: Target, tubelet: tuple[int, int, int]
) -> Any:
    """Pixels from predicted differences: the inverse of `expected_differences`, given the clip they are taken from.

    Args:
        predicted: (b, m, pt·ph·pw·c) at `indices`.

    Returns:
        The same shape, float32: the neighbour of each frame, as it is in the clip, and what was predicted to differ.
    """
    pixels, share = in_unit_range(pixels), target.pixels
    clip = differences(pixels, share)
    difference = predicted * difference_scale(gather_patches(clip, indices, tubelet), clip, target.scale)
    rest = (1 - share) * neighbours(pixels) + share * ops.mean(pixels, axis=(1, 2, 3), keepdims=True)
    return difference + gather_patches(rest, indices, tubelet)


def expected_patches(pixels: Any, indices: Any, target: Target, tubelet: tuple[int, int, int]) -> Any:
    """What the decoder should predict at `indices`.

    Args:
        pixels: (b, T, H, W, c) in [0, 1], or uint8.
        indices: (b, m) in the token grid.

    Returns:
        (b, m, pt·ph·pw·c) float32.
    """
    if target.is_difference:
        return expected_differences(pixels, indices, tubelet=tubelet, scale=target.scale, share=target.pixels)
    patches = gather_patches(pixels, indices, tubelet)
    return normalised_target(patches, target.name, pixels.shape[-1], tubelet[0])


def patch_motion(pixels: Any, indices: Any, tubelet: tuple[int, int, int]) -> Any:
    """How much each patch moves: the mean of |frame − neighbour| over its values, (b, m) float32."""
    moved = ops.abs(differences(pixels))
    return ops.mean(gather_patches(moved, indices, tubelet), axis=2)


def motion_weights(pixels: Any, indices: Any, *, tubelet: tuple[int, int, int]) -> Any:
    """The weights of patches in a loss that is weighted by motion: (b, m) float32, their mean in each clip is 1.

    They are proportional to `patch_motion` and one step of uint8 more, so that a clip that stands still has equal
    weights, and a still patch of a moving one a small one.
    """
    motion = patch_motion(pixels, indices, tubelet) + STEP
    return motion / ops.mean(motion, axis=1, keepdims=True)
