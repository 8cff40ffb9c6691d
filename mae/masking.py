"""Which tokens are hidden from the encoder.

A mask is a bool array over the flattened token grid, row-major (t, h, w), True where a token is masked. Every
kind masks exactly the same number of tokens in every example, so batches have fixed shapes. Inside models a
mask travels as two sorted index tensors, made by `mae.models.tokens.split_indices`.

Kinds, with their sources: tube (VideoMAE, arXiv:2203.12602, section 3.3), random, frame and block
(MAE as spatiotemporal learners, arXiv:2205.09113, figure 7).
"""

import math
from collections.abc import Callable

import numpy as np

from mae.errors import ConfigError, check_choice
from mae.motion import block_motion
from mae.options import MASK_MOTIONS

Grid = tuple[int, int, int]
Seed = int | np.random.Generator | None


def _check_grid(grid: Grid) -> None:
    if len(grid) != 3 or any(side != int(side) or side < 1 for side in grid):
        raise ValueError(f"grid={tuple(grid)} must be three whole numbers of at least 1: tokens along t, h and w")


def _masked_of(total: int, mask_ratio: float) -> int:
    # Rounding first: 0.29 · 100 is 28.999… in floating point and must give 29.
    return math.floor(round(mask_ratio * total, 6))


def _permuted_masks(rows: int, total: int, masked: int, rng: np.random.Generator) -> np.ndarray:
    """`rows` independent masks over `total` places with `masked` True each: (rows, total) bool."""
    ranks = rng.random((rows, total)).argsort(axis=1).argsort(axis=1)
    return ranks < masked


def tube_mask(grid: Grid, mask_ratio: float, batch_size: int = 1, seed: Seed = None) -> np.ndarray:
    """One random spatial pattern per clip, repeated over time.

    `floor(mask_ratio · h · w)` tokens are masked in each time step: 176 of 196 at 0.9 of 14×14.

    Args:
        grid: tokens along time, height and width.
        mask_ratio: in (0, 1).
        batch_size: clips, each with a mask of its own.
        seed: an int, or a generator to draw from.

    Returns:
        (b, t·h·w) bool, True where masked.

    Raises:
        ConfigError: a ratio that cannot be, or one that leaves nothing masked or visible.

    Example:
        >>> import mae
        >>> masks = mae.tube_mask((2, 2, 2), 0.5, batch_size=3, seed=0)
        >>> masks.shape, masks.reshape(3, 2, 4).sum(axis=2).tolist()
        ((3, 8), [[2, 2], [2, 2], [2, 2]])
    """
    masked = num_masked("tube", grid, mask_ratio)
    t, h, w = grid
    pattern = _permuted_masks(batch_size, h * w, masked // t, np.random.default_rng(seed))
    return np.tile(pattern, (1, t))


def random_mask(grid: Grid, mask_ratio: float, batch_size: int = 1, seed: Seed = None) -> np.ndarray:
    """Tokens drawn without regard to space or time (arXiv:2205.09113, figure 7).

    Args:
        grid: tokens along time, height and width.
        mask_ratio: in (0, 1).
        batch_size: clips, each with a mask of its own.
        seed: an int, or a generator to draw from.

    Returns:
        (b, t·h·w) bool, True where masked.

    Raises:
        ConfigError: a ratio that cannot be, or one that leaves nothing masked or visible.

    Example:
        >>> import mae
        >>> mae.random_mask((2, 2, 2), 0.25, batch_size=3, seed=0).sum(axis=1).tolist()
        [2, 2, 2]
    """
    masked = num_masked("random", grid, mask_ratio)
    return _permuted_masks(batch_size, math.prod(grid), masked, np.random.default_rng(seed))


def frame_mask(grid: Grid, mask_ratio: float, batch_size: int = 1, seed: Seed = None) -> np.ndarray:
    """Whole time steps, `floor(mask_ratio · t)` of them (arXiv:2205.09113, figure 7).

    Args:
        grid: tokens along time, height and width.
        mask_ratio: in (0, 1).
        batch_size: clips, each with a mask of its own.
        seed: an int, or a generator to draw from.

    Returns:
        (b, t·h·w) bool, True where masked.

    Raises:
        ConfigError: a ratio that cannot be, or one that leaves nothing masked or visible.

    Example:
        >>> import mae
        >>> sorted(mae.frame_mask((3, 1, 2), 0.34, seed=0).reshape(3, 2).tolist())
        [[False, False], [False, False], [True, True]]
    """
    masked = num_masked("frame", grid, mask_ratio)
    t, h, w = grid
    return np.repeat(_permuted_masks(batch_size, t, masked // (h * w), np.random.default_rng(seed)), h * w, axis=1)


def block_mask(grid: Grid, mask_ratio: float, batch_size: int = 1, seed: Seed = None) -> np.ndarray:
    """Boxes in space and time until exactly `floor(mask_ratio · t·h·w)` tokens are masked.

    After MAE as spatiotemporal learners (arXiv:2205.09113, figure 7). Each box spans 1/4 to all of the grid along every
    axis; of the last one only as many new tokens as are still wanted are masked, in row-major order.

    Args:
        grid: tokens along time, height and width.
        mask_ratio: in (0, 1).
        batch_size: clips, each with a mask of its own.
        seed: an int, or a generator to draw from.

    Returns:
        (b, t·h·w) bool, True where masked.

    Raises:
        ConfigError: a ratio that cannot be, or one that leaves nothing masked or visible.

    Example:
        >>> import mae
        >>> mae.block_mask((4, 4, 4), 0.5, batch_size=2, seed=0).sum(axis=1).tolist()
        [32, 32]
    """
    rng = np.random.default_rng(seed)
    masked = num_masked("block", grid, mask_ratio)
    return np.stack([_one_block_mask(grid, masked, rng) for _ in range(batch_size)])


def _one_block_mask(grid: Grid, masked: int, rng: np.random.Generator) -> np.ndarray:
    is_masked = np.zeros(grid, bool)
    while (missing := masked - int(is_masked.sum())) > 0:
        box = np.zeros(grid, bool)
        spans = [int(rng.integers(max(1, side // 4), side + 1)) for side in grid]
        starts = [int(rng.integers(0, side - span + 1)) for side, span in zip(grid, spans, strict=True)]
        box[tuple(slice(start, start + span) for start, span in zip(starts, spans, strict=True))] = True
        new = np.flatnonzero(box & ~is_masked)[:missing]
        is_masked.flat[new] = True
    return is_masked.ravel()


def running_cell_mask(grid: Grid, mask_ratio: float, batch_size: int = 1, seed: Seed = None) -> np.ndarray:
    """The mask of the decoder in dual masking (VideoMAE V2, arXiv:2303.16727, section 3.2; cells: arXiv:2207.11660).

    Space is divided into cells of 2×2 tokens, numbered row by row. In a time step the same `4 · mask_ratio`
    consecutive numbers (3 is followed by 0) are masked in every cell; in the next time step they are one further.
    Where they begin is drawn for each clip. Over four time steps every token is masked equally often.

    Args:
        grid: tokens along time, height and width; cells are cut off at an odd height or width.
        mask_ratio: share of tokens the decoder does not predict: 0.25, 0.5 or 0.75.
        batch_size: clips, each with a mask of its own.
        seed: an int, or a generator to draw from.

    Returns:
        (b, t·h·w) bool, True where masked.

    Raises:
        ConfigError: another ratio.

    Example:
        >>> import mae
        >>> mae.running_cell_mask((1, 2, 2), 0.5, batch_size=3, seed=0).sum(axis=1).tolist()
        [2, 2, 2]
    """
    starts = np.random.default_rng(seed).integers(0, 4, batch_size)
    return _running_cells(grid, mask_ratio, starts).reshape(batch_size, -1)


def _running_cells(grid: Grid, mask_ratio: float, starts: np.ndarray) -> np.ndarray:
    """(b,) first masked numbers in the first time step → (b, t, h·w) bool."""
    _check_grid(grid)
    if mask_ratio not in (0.25, 0.5, 0.75):
        raise ConfigError(f"decoder_mask_ratio={mask_ratio} must be 0 (off), 0.25, 0.5 or 0.75: quarters of a cell")
    t, h, w = grid
    number = 2 * (np.arange(h) % 2)[:, None] + np.arange(w) % 2
    after_first = number.ravel() - np.arange(t)[:, None] - starts[:, None, None]
    return after_first % 4 < 4 * mask_ratio


def motion_mask(
    kind: str, mask_ratio: float, motion: np.ndarray, prefer: str, share: float, seed: Seed = None
) -> np.ndarray:
    """A mask of `kind` that follows what moves in a clip; it masks as many tokens as any other of that kind.

    What is masked as a whole (a tube, a time step, or a single token) moves as much as its tokens do on average. Where
    moving ones are hidden (MGM, arXiv:2308.12962), those that move most make up a share of what is masked, and the
    rest is drawn at random among all others. Where they are kept (AdaMAE, arXiv:2211.09120, learns to), they make up a
    share of what is visible. Of equally moving ones chance decides.

    Args:
        kind: tube, random or frame.
        motion: (t, h, w), see `mae.motion.block_motion`.
        prefer: hide | keep.
        share: in (0, 1], rounded down to whole tubes, time steps or tokens.
        seed: an int, or a generator to draw from.

    Returns:
        (t·h·w,) bool, True where masked.

    Raises:
        ConfigError: another kind, or a ratio or share that cannot be.
    """
    t, h, w = motion.shape
    check_follows_motion(kind, prefer, share)
    masked = num_masked(kind, motion.shape, mask_ratio)
    rng = np.random.default_rng(seed)
    moved = {"tube": motion.mean(axis=0).ravel(), "frame": motion.mean(axis=(1, 2))}.get(kind, motion.ravel())
    chosen = masked * len(moved) // (t * h * w)
    if prefer == "keep":
        chosen = len(moved) - chosen
    first = np.lexsort((rng.random(len(moved)), -moved))[: _masked_of(chosen, share)]
    rank = rng.random(len(moved))
    rank[first] = -1
    is_chosen = rank.argsort().argsort() < chosen
    units = ~is_chosen if prefer == "keep" else is_chosen
    return {"tube": np.tile(units, t), "frame": np.repeat(units, h * w)}.get(kind, units)


def check_follows_motion(kind: str, prefer: str, share: float, num_frames: int | None = None) -> None:
    """Raises `ConfigError` where no mask of `kind` follows the motion of so many frames in this way."""
    if num_frames == 1:
        raise ConfigError(f"mask_motion={prefer} compares frames, and num_frames=1: give 2 or more")
    check_choice("mask_motion", prefer, [name for name in MASK_MOTIONS if name != "none"])
    if kind == "block":
        raise ConfigError(
            f"masking=block draws boxes wherever they are: mask_motion={prefer} takes tube, random or frame"
        )
    if not 0 < share <= 1:
        raise ConfigError(f"mask_motion_share={share} must lie in (0, 1]; mask_motion=none masks at random alone")


MASKS: dict[str, Callable[..., np.ndarray]] = {
    "tube": tube_mask,
    "random": random_mask,
    "frame": frame_mask,
    "block": block_mask,
}


def clip_mask(
    clip: np.ndarray,
    tubelet: tuple[int, int, int],
    kind: str,
    mask_ratio: float,
    prefer: str = "none",
    share: float = 0.5,
    seed: Seed = None,
) -> np.ndarray:
    """The mask of one clip (T, H, W, c) uint8, which is looked at where masks follow motion: (t·h·w,) bool.

    Args:
        prefer, share: see `motion_mask`; `none`: what moves is masked as everything else.
    """
    if prefer != "none":
        return motion_mask(kind, mask_ratio, block_motion(clip, tubelet), prefer, share, seed)
    t, h, w = (size // by for size, by in zip(clip.shape[:3], tubelet, strict=True))
    return MASKS[kind]((t, h, w), mask_ratio, seed=seed)[0]


def num_masked(kind: str, grid: Grid, mask_ratio: float) -> int:
    """How many tokens a mask of `kind` hides in every example.

    Raises:
        ConfigError: unknown kind, a ratio outside (0, 1), or one that leaves nothing masked or visible.
        ValueError: a grid that is none.
    """
    _check_grid(grid)
    check_choice("masking", kind, MASKS)
    if not 0 < mask_ratio < 1:
        raise ConfigError(f"mask_ratio={mask_ratio} must lie between 0 and 1, both excluded")
    t, h, w = grid
    units = {"tube": h * w, "frame": t}.get(kind, t * h * w)
    masked = _masked_of(units, mask_ratio)
    if not 0 < masked < units:
        raise ConfigError(
            f"mask_ratio={mask_ratio} with masking={kind} masks {masked} of {units} "
            f"{'time steps' if kind == 'frame' else 'tokens'}: at least one must be masked and one visible"
        )
    return masked * (t * h * w // units)


def num_predicted(kind: str, grid: Grid, mask_ratio: float, decoder_mask_ratio: float = 0.0) -> tuple[int, bool]:
    """How many tokens the decoder predicts: those masked by a mask of `kind` and not by `running_cell_mask`.

    Returns:
        The largest number any example can have, and whether all examples have that number. They do where nothing is
        masked for the decoder, and with tubes whose time steps are a multiple of four.

    Raises:
        ConfigError: as `num_masked` and `running_cell_mask`.
    """
    masked = num_masked(kind, grid, mask_ratio)
    if decoder_mask_ratio == 0:
        return masked, True
    t, h, w = grid
    is_predicted = ~_running_cells(grid, decoder_mask_ratio, np.arange(4))
    # How many tokens are predicted of each unit that is masked as a whole, for each of the four starts.
    units = {"tube": is_predicted.sum(axis=1), "frame": is_predicted.sum(axis=2)}.get(kind, is_predicted.reshape(4, -1))
    masked_units = masked * units.shape[1] // (t * h * w)
    ordered = np.sort(units, axis=1)
    fewest, most = ordered[:, :masked_units].sum(axis=1).min(), ordered[:, -masked_units:].sum(axis=1).max()
    return int(most), bool(fewest == most)
