"""The same few clips under the same masks, looked at again and again while a model trains."""

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from keras import ops

from mae.data.clips import ClipReader
from mae.engines.engine import Engine
from mae.errors import BadVideo, ConfigError
from mae.models.pretrainer import Pretrainer
from mae.models.tokens import gather_tokens, split_indices
from mae.monitoring.panels import (
    difference_views,
    mask_to_pixels,
    panel_title,
    patch_statistics_from_visible,
    psnr,
    reconstruction_movie,
    reconstruction_views,
)
from mae.monitoring.sheets import View, draw_sheet, shown_frames
from mae.motion import block_motion
from mae.patches import (
    group_values,
    normalise_patches,
    patch_statistics,
    patchify,
    unnormalised_prediction,
    unpatchify,
)
from mae.presets import Architecture
from mae.target_config import Target
from mae.targets import added_to_neighbours, expected_patches, motion_weights, neighbours

STEP = 1.0  # of uint8: what moves less on average does not move


@dataclass(frozen=True)
class Part:
    """The loss over some of the masked patches, beside that of a predictor that learnt nothing."""

    patches: int
    loss: float
    trivial: float


@dataclass(frozen=True)
class FixedBatch:
    """Clips and masks; `pixels` (k, T, H, W, c) uint8, `is_masked` (k, n) bool."""

    pixels: np.ndarray
    is_masked: np.ndarray

    def prediction(self, engine: Engine, model: Pretrainer) -> Callable[[], np.ndarray]:
        """What predicts the masked patches with the model's present weights: () → (k, m, p) float32."""
        visible, masked = (np.asarray(indices) for indices in split_indices(self.is_masked))
        statistics = model.architecture.statistics

        def predict(patches: Any) -> Any:
            seen = normalise_patches(gather_tokens(patches, visible), statistics)
            return ops.cast(model.predict_patches(seen, visible, masked), "float32")

        patches, run = self._patches(model.architecture), engine.local(model, predict)
        return lambda: run(patches)

    def loss(self, predicted: np.ndarray, architecture: Architecture, target: str | Target) -> float:
        """Mean squared error over the masked patches, weighted as in training."""
        squares = np.square(predicted - self._expected(architecture, target))
        return self._mean(squares, architecture, target)

    def digest(self, target: str | Target) -> str:
        """SHA-256 of what the loss depends on besides the model."""
        digest = hashlib.sha256(repr((str(target), self.pixels.shape, self.is_masked.shape)).encode())
        digest.update(self.pixels.tobytes())
        digest.update(self.is_masked.tobytes())
        return digest.hexdigest()

    def trivial_loss(self, architecture: Architecture, target: str | Target) -> float:
        """The loss of predicting the average value everywhere: what a model that learnt nothing can reach.

        Close to 1 for normalised targets, whatever the videos. The average of differences is about 0: that nothing
        moves.
        """
        expected = self._expected(architecture, target)
        average = self._mean(expected, architecture, target)
        return self._mean(np.square(expected - average), architecture, target)

    def by_motion(self, predicted: np.ndarray, architecture: Architecture, target: str | Target) -> dict[str, Part]:
        """The mean squared error over masked patches that move, and over those that stand still, without weights.

        Moving are those that move more than their clip does on average, and by more than a step of uint8: of an object
        before a still background about those that it touches.

        Returns:
            `moving` and `still`, of which one is missing where there is no such patch.
        """
        motion = np.stack([block_motion(clip, architecture.tubelet).ravel() for clip in self.pixels])
        is_moving = motion > np.maximum(motion.mean(axis=1, keepdims=True), STEP)
        is_moving = is_moving[self.is_masked].reshape(len(self.pixels), -1)
        expected = self._expected(architecture, target)
        average = self._mean(expected, architecture, target)
        losses, trivial = (np.square(expected - made).mean(axis=2) for made in (predicted, average))
        return {
            name: Part(int(chosen.sum()), float(losses[chosen].mean()), float(trivial[chosen].mean()))
            for name, chosen in (("moving", is_moving), ("still", ~is_moving))
            if chosen.any()
        }

    def reconstruct(self, predicted: np.ndarray, architecture: Architecture, target: str | Target) -> "Reconstruction":
        """The predicted patches, put back into the clips."""
        a, patches, target = architecture, self._patches(architecture), Target.of(target)
        if target.is_difference:
            return self._with_differences(predicted, a, target)
        predicted = _scatter(predicted, self.is_masked)

        values = ops.convert_to_numpy(group_values(patches, target.name, a.in_channels, a.tubelet_size))
        original_statistics = patch_statistics(values)
        honest_statistics = patch_statistics_from_visible(values, self.is_masked, a.grid)

        def as_videos(mean: np.ndarray, std: np.ndarray) -> np.ndarray:
            pixels = unnormalised_prediction(predicted, target.name, mean, std, a.tubelet_size)
            whole = np.where(self.is_masked[..., None], ops.convert_to_numpy(pixels), patches)
            return np.clip(unpatchify(whole, a.grid, a.tubelet), 0, 1)

        return Reconstruction(
            batch=self,
            grid=a.grid,
            tubelet=a.tubelet,
            with_original_statistics=as_videos(*(ops.convert_to_numpy(s) for s in original_statistics)),
            with_visible_statistics=None if target.name == "pixels" else as_videos(*honest_statistics),
        )

    def _with_differences(self, predicted: np.ndarray, a: Architecture, target: Target) -> "Reconstruction":
        """The clips with predicted differences added to the original frames they are differences to."""
        made = ops.convert_to_numpy(added_to_neighbours(predicted, self.pixels, self._masked, target, a.tubelet))
        whole = np.where(self.is_masked[..., None], _scatter(made, self.is_masked), self._patches(a))
        restored = np.asarray(unpatchify(whole, a.grid, a.tubelet))
        differences = restored - ops.convert_to_numpy(neighbours(self.pixels.astype("float32") / 255))
        return Reconstruction(self, a.grid, a.tubelet, np.clip(restored, 0, 1), None, differences)

    def _patches(self, architecture: Architecture) -> np.ndarray:
        """(k, n, p) in [0, 1]."""
        return np.asarray(patchify(self.pixels.astype("float32") / 255, architecture.tubelet))

    @property
    def _masked(self) -> np.ndarray:
        """The indices of the masked patches: (k, m) int32."""
        return np.asarray(ops.convert_to_numpy(split_indices(self.is_masked)[1]))

    def _expected(self, architecture: Architecture, target: str | Target) -> np.ndarray:
        """What should be predicted: (k, m, p)."""
        made = expected_patches(self.pixels, self._masked, Target.of(target), architecture.tubelet)
        return np.asarray(ops.convert_to_numpy(made))

    def _mean(self, values: np.ndarray, architecture: Architecture, target: str | Target) -> float:
        """Of values of the masked patches (k, m, p), each patch weighted as in the loss."""
        if Target.of(target).weight == "none":
            return float(np.mean(values))
        weights = motion_weights(self.pixels, self._masked, tubelet=architecture.tubelet)
        return float(np.average(values.mean(axis=2), weights=ops.convert_to_numpy(weights)))


@dataclass(frozen=True)
class Reconstruction:
    """Clips whose masked patches are predicted, (k, T, H, W, c) in [0, 1].

    A target that is normalised leaves the mean and contrast of a patch unsaid. They are taken from the original,
    as publications do, and once more from the visible patches around, as one would have to without the original.
    Differences are added to the frames of the original that they are differences to.
    """

    batch: FixedBatch
    grid: tuple[int, int, int]
    tubelet: tuple[int, int, int]
    with_original_statistics: np.ndarray
    with_visible_statistics: np.ndarray | None
    differences: np.ndarray | None = None  # in [-1, 1], where they are what is predicted; else None

    @cached_property
    def psnr(self) -> float:
        """Decibels over the masked pixels, statistics of the patches taken from the original."""
        hidden = mask_to_pixels(self.batch.is_masked, self.grid, self.tubelet)
        return psnr(self.batch.pixels, self.with_original_statistics, hidden)

    @property
    def psnr_of_neighbours(self) -> float | None:
        """As `psnr`, of the frames that differences are added to: what there would be if nothing were predicted."""
        if self.differences is None:
            return None
        hidden = mask_to_pixels(self.batch.is_masked, self.grid, self.tubelet)
        return psnr(self.batch.pixels, self._neighbours, hidden)

    def picture(self, step: int | None, loss: float) -> np.ndarray:
        """One sheet, original | masked | reconstruction of each clip: (height, width, 3) uint8 RGB.

        Of differences these are shown too: a still background gives a picture that looks well whatever is predicted.
        """
        if self.differences is not None:
            return self.whole_picture(step, loss)
        first, *_, last = self._views
        return draw_sheet([*first, *last], shown_frames(self.grid[0], self.tubelet[0]), self._title(step, loss))

    def whole_picture(self, step: int | None, loss: float) -> np.ndarray:
        """As `picture`, and the predicted patches alone."""
        views = [view for column in self._views for view in column]
        return draw_sheet(views, shown_frames(self.grid[0], self.tubelet[0]), self._title(step, loss))

    def movie(self, step: int | None, loss: float) -> np.ndarray:
        """All of `whole_picture` of the first clip, moving: (T, height, width, 3) uint8 RGB."""
        return reconstruction_movie(self._views, self._title(step, loss))

    @cached_property
    def _neighbours(self) -> np.ndarray:
        return np.asarray(ops.convert_to_numpy(neighbours(self.batch.pixels.astype("float32") / 255)))

    @cached_property
    def _views(self) -> list[list[View]]:
        if self.differences is not None:
            clips, hidden = self.batch.pixels, self.batch.is_masked
            return difference_views(clips, hidden, self._neighbours, self.differences, self.grid, self.tubelet)
        return reconstruction_views(
            self.batch.pixels,
            self.batch.is_masked,
            self.with_original_statistics,
            self.grid,
            self.tubelet,
            uses_original_statistics=self.with_visible_statistics is not None,
            reconstruction_without_statistics=self.with_visible_statistics,
        )

    def _title(self, step: int | None, loss: float) -> str:
        return panel_title(step, loss, self.psnr, float(self.batch.is_masked.mean()))


def make_fixed_batch(
    reader: ClipReader,
    num_videos: int,
    mask_of: Callable[[int, np.ndarray], np.ndarray],
    size: int,
) -> FixedBatch:
    """Centre clips of `size` videos spread over the list, the first readable ones from evenly spaced places.

    Args:
        mask_of: of an example and its clip (T, H, W, c): (n,) bool.

    Raises:
        ConfigError: the list has no readable video.
    """
    clips, masks, reasons = [], [], []
    spread = [int(index) for index in np.linspace(0, num_videos, min(size, num_videos), endpoint=False)]
    for example in itertools.chain(spread, (i for i in range(num_videos) if i not in spread)):
        try:
            clips.append(reader.center_clip(example))
        except BadVideo as error:
            reasons.append(str(error))
            continue
        masks.append(mask_of(example, clips[-1]))
        if len(clips) == size:
            break
    if not clips:
        raise ConfigError(f"none of the {num_videos} listed videos can be read; the first: {reasons[0]}")
    return FixedBatch(np.stack(clips), np.stack(masks))


def _scatter(values: np.ndarray, is_masked: np.ndarray) -> np.ndarray:
    """(k, m, d) at the masked places, zeros at the others: (k, n, d)."""
    whole = np.zeros((*is_masked.shape, values.shape[-1]), values.dtype)
    whole[is_masked] = values.reshape(-1, values.shape[-1])
    return whole
