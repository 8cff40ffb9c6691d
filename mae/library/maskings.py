"""Masks for batches of clips: callables that give a batch back with the tokens to hide of each clip."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mae.masking import check_follows_motion, clip_mask, running_cell_mask
from mae.seeds import generator


@dataclass(frozen=True)
class _Masking(ABC):
    """What all kinds have in common: a batch and the number of a step in, the batch and its masks out."""

    mask_ratio: float
    tubelet: tuple[int, int, int] = (2, 16, 16)
    seed: int = 0

    _purpose: ClassVar[str] = "mask"

    def __call__(self, clips: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The masks of a batch.

        Args:
            clips: (b, T, H, W, c).
            step: number of the batch; together with the seed and the row it decides everything that is drawn.

        Returns:
            The clips as they are, and (b, t·h·w) bool, True where a token is hidden.

        Raises:
            ValueError: clips that are not whole tubelets.
            ConfigError: a ratio that cannot be, such as one that leaves nothing visible.
        """
        self._check(clips)
        drawn = [generator(self.seed, self._purpose, step, row) for row in range(len(clips))]
        return clips, np.stack([self._mask(clip, rng) for clip, rng in zip(clips, drawn, strict=True)])

    def _check(self, clips: np.ndarray) -> None:
        shape = np.shape(clips)
        if len(shape) != 5 or not shape[0] or any(n % by for n, by in zip(shape[1:4], self.tubelet, strict=True)):
            raise ValueError(
                f"clips of the shape {shape} cannot be cut into tubelets of {self.tubelet}: expected (b, T, H, W, c), "
                "T, H and W divisible by tubelet=; that of a model is model.architecture.tubelet"
            )

    @abstractmethod
    def _mask(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Of one clip: (t·h·w,) bool."""


@dataclass(frozen=True)
class _EncoderMasking(_Masking):
    """A kind of `mae.masking.MASKS`."""

    motion: str = "none"
    motion_share: float = 0.5

    _kind: ClassVar[str]

    def __post_init__(self) -> None:
        if self.motion != "none":
            check_follows_motion(self._kind, self.motion, self.motion_share)

    def _check(self, clips: np.ndarray) -> None:
        super()._check(clips)
        if self.motion != "none" and clips.dtype != np.uint8:
            raise ValueError(f"motion={self.motion!r} compares uint8 pixels, got clips of {clips.dtype}")

    def _mask(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return clip_mask(clip, self.tubelet, self._kind, self.mask_ratio, self.motion, self.motion_share, rng)


class TubeMasking(_EncoderMasking):
    """Hides one random spatial pattern of each clip, the same at all times (VideoMAE, arXiv:2203.12602, section 3.3).

    `masking(clips, step)` gives `(clips, masks)`; masks are a function of the seed, the step and the row alone.

    Args:
        mask_ratio: share of tokens that is hidden, in (0, 1): `floor(mask_ratio · h · w)` at each time.
        tubelet: frames, rows and columns of a token; of a model `model.architecture.tubelet`.
        seed: of what is drawn.
        motion: `none`; `hide` or `keep`: what moves most is hidden, or stays visible, first. Takes uint8 clips.
        motion_share: of what is hidden (or kept) the share that is chosen by motion, in (0, 1]; the rest is random.

    Raises:
        ConfigError: no such motion, or a share that cannot be.

    Example:
        >>> import mae, numpy as np
        >>> clips = np.zeros((3, 4, 24, 24, 3), "uint8")
        >>> clips, masks = mae.TubeMasking(0.75, tubelet=(1, 4, 4))(clips, step=0)
        >>> masks.shape, masks.sum(axis=1).tolist()
        ((3, 144), [108, 108, 108])
    """

    _kind = "tube"


class RandomMasking(_EncoderMasking):
    """Hides tokens without regard to space or time (MAE as spatiotemporal learners, arXiv:2205.09113, figure 7).

    `masking(clips, step)` gives `(clips, masks)`; masks are a function of the seed, the step and the row alone.

    Args:
        mask_ratio: share of tokens that is hidden, in (0, 1).
        tubelet: frames, rows and columns of a token; of a model `model.architecture.tubelet`.
        seed: of what is drawn.
        motion: `none`; `hide` or `keep`: what moves most is hidden, or stays visible, first. Takes uint8 clips.
        motion_share: of what is hidden (or kept) the share that is chosen by motion, in (0, 1]; the rest is random.

    Raises:
        ConfigError: no such motion, or a share that cannot be.

    Example:
        >>> import mae, numpy as np
        >>> _, masks = mae.RandomMasking(0.5, tubelet=(1, 4, 4))(np.zeros((2, 4, 8, 8, 3)), step=7)
        >>> masks.shape, masks.sum(axis=1).tolist()
        ((2, 16), [8, 8])
    """

    _kind = "random"


class FrameMasking(_EncoderMasking):
    """Hides whole time steps (MAE as spatiotemporal learners, arXiv:2205.09113, figure 7).

    `masking(clips, step)` gives `(clips, masks)`; masks are a function of the seed, the step and the row alone.

    Args:
        mask_ratio: share of time steps that is hidden, in (0, 1).
        tubelet: frames, rows and columns of a token; of a model `model.architecture.tubelet`.
        seed: of what is drawn.
        motion: `none`; `hide` or `keep`: what moves most is hidden, or stays visible, first. Takes uint8 clips.
        motion_share: of what is hidden (or kept) the share that is chosen by motion, in (0, 1]; the rest is random.

    Raises:
        ConfigError: no such motion, or a share that cannot be.

    Example:
        >>> import mae, numpy as np
        >>> _, masks = mae.FrameMasking(0.5, tubelet=(1, 4, 4))(np.zeros((1, 4, 8, 8, 3)), step=0)
        >>> sorted(masks.reshape(4, 4).sum(axis=1).tolist())
        [0, 0, 4, 4]
    """

    _kind = "frame"


class BlockMasking(_EncoderMasking):
    """Hides boxes in space and time (MAE as spatiotemporal learners, arXiv:2205.09113, figure 7).

    `masking(clips, step)` gives `(clips, masks)`; masks are a function of the seed, the step and the row alone.

    Args:
        mask_ratio: share of tokens that is hidden, in (0, 1).
        tubelet: frames, rows and columns of a token; of a model `model.architecture.tubelet`.
        seed: of what is drawn.
        motion: `none`; boxes do not follow what moves.
        motion_share: not asked for.

    Raises:
        ConfigError: another motion.

    Example:
        >>> import mae, numpy as np
        >>> _, masks = mae.BlockMasking(0.5, tubelet=(1, 4, 4))(np.zeros((2, 4, 8, 8, 3)), step=0)
        >>> masks.sum(axis=1).tolist()
        [8, 8]
    """

    _kind = "block"


class RunningCellMasking(_Masking):
    """Hides tokens from the decoder, in dual masking (VideoMAE V2, arXiv:2303.16727, section 3.2).

    Of every cell of 2×2 tokens the same quarters are hidden at one time, one further at the next; where they begin is
    drawn for each clip. What the decoder predicts is masked for the encoder and not by this mask.

    `masking(clips, step)` gives `(clips, masks)`; masks are a function of the seed, the step and the row alone.

    Args:
        mask_ratio: share of tokens that the decoder leaves out: 0.25, 0.5 or 0.75.
        tubelet: frames, rows and columns of a token; of a model `model.architecture.tubelet`.
        seed: of what is drawn.

    Example:
        >>> import mae, numpy as np
        >>> _, masks = mae.RunningCellMasking(0.5, tubelet=(1, 4, 4))(np.zeros((2, 4, 8, 8, 3)), step=0)
        >>> masks.sum(axis=1).tolist()
        [8, 8]
    """

    _purpose = "decoder mask"

    def _mask(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        t, h, w = (size // by for size, by in zip(clip.shape[:3], self.tubelet, strict=True))
        return running_cell_mask((t, h, w), self.mask_ratio, seed=rng)[0]
