"""Pre-training by Keras' own `compile` and `fit`: the step of `mae.pretraining` as a step of Keras.

What a step is given are clips. Before anything is computed it makes of them what Keras trains on: as inputs the clips
and which of their patches are hidden, as targets what is to be predicted of these.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import keras
from keras import ops

from mae.checks import check_mask, check_videos
from mae.errors import ConfigError
from mae.models.drawn_masks import DrawnMasks
from mae.models.expected import expected_of_hidden
from mae.models.lean.squared_error import squared_errors
from mae.models.tokens import split_indices
from mae.models.whole_model import WholeModel
from mae.patches import unnormalise
from mae.presets import Architecture
from mae.target_config import Target
from mae.targets import motion_weights

_EVALUATION = 2**31 - 1  # instead of the number of an update: an evaluation always hides the same


@dataclass(frozen=True)
class MaskedLearning:
    """What is hidden in training, and what is predicted of it."""

    masking: str
    mask_ratio: float
    target: Target
    seed: int


class PatchErrors(keras.losses.Loss):
    """Mean squared error of predicted patches, as the command computes it."""

    def __init__(self, lean: bool) -> None:
        super().__init__(name="patch_errors")
        self._lean = lean

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(b, m, pt·ph·pw·c) twice → (b, m)."""
        return squared_errors(y_pred, y_true, self._lean)


class MaskedTraining(WholeModel):
    """A model of clips and masks that Keras trains on clips."""

    architecture: Architecture

    def compile(
        self,
        optimizer: Any = "rmsprop",
        *,
        masking: str = "tube",
        mask_ratio: float = 0.9,
        target: str | Target = "videomae",
        seed: int = 0,
        **settings: Any,
    ) -> None:
        """Settings of `fit` and `evaluate`, which take clips alone: arrays (b, T, H, W, c), or whatever yields them.

        The masks of the update number i are a function of the seed and of i; of `evaluate` they are always the same.
        Masks of one's own, bool or uint8, come with the clips, as `{"videos": …, "is_masked": …}`; they hide as
        many tokens as `masking` and `mask_ratio` say, or the loss is NaN. Labels that come with clips are not looked
        at.

        Args:
            optimizer: any of Keras', as `mae.build_optimizer` gives.
            masking: tube | random | frame, see `mae.masking`.
            mask_ratio: in (0, 1).
            target: what is predicted, see `mae.target_config.Target`; a name: one by that name with the defaults.
            seed: of the masks.
            settings: others of Keras' `compile`. There is one loss, the error on what is hidden, and no metric.

        Raises:
            ConfigError: settings that cannot be.
        """
        target = Target.of(target)
        target.check_frames(self.architecture.num_frames)
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if settings.get(name) is not None:
                raise ConfigError(f"{name}={settings[name]!r}: a pretrainer has its own loss, which `target` chooses")
        self._learning = MaskedLearning(masking, mask_ratio, target, seed)
        self._masks = DrawnMasks(masking, mask_ratio, self.architecture, seed)
        self._patch_errors = PatchErrors(self.architecture.lean)
        super().compile(optimizer, **settings)

    def train_step(self, *arguments: Any) -> Any:
        """Of Keras' step: (clips,), or (state, clips) where the backend passes its state on."""
        *state, data = arguments
        return super().train_step(*state, self._posed(data, self._updates_made(*state)))

    def test_step(self, *arguments: Any) -> Any:
        """As `train_step`."""
        *state, data = arguments
        return super().test_step(*state, self._posed(data, _EVALUATION))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        return self._patch_errors(y, y_pred, sample_weight)

    def get_compile_config(self) -> dict[str, Any]:
        config = super().get_compile_config()
        return {**config, **asdict(self._learning)} if config else config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        told = keras.saving.deserialize_keras_object(config)
        self.compile(**{**told, "target": Target(**told["target"])})
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def _updates_made(self, state: Any = None) -> Any:
        iterations = self.optimizer.iterations
        if state is None:
            return ops.convert_to_tensor(iterations)
        optimizer_values = state[2]
        with keras.StatelessScope(list(zip(self.optimizer.variables, optimizer_values, strict=True))):
            return ops.convert_to_tensor(iterations)

    def _posed(self, data: Any, number: Any) -> tuple[Any, Any, Any]:
        """Inputs, targets and weights for Keras, of clips with or without masks."""
        a, target = self.architecture, self._learning.target
        x, _, weight = keras.utils.unpack_x_y_sample_weight(data)
        videos, is_masked = (x["videos"], x.get("is_masked")) if isinstance(x, Mapping) else (x, None)
        check_videos(videos, a)
        own = is_masked is not None
        if is_masked is None:
            is_masked = self._masks.draw(ops.shape(videos)[0], number)
        elif keras.backend.standardize_dtype(is_masked.dtype) == "uint8":
            is_masked = ops.cast(is_masked, "bool")  # on replicas Keras averages a batch first: bool has no mean
        check_mask("is_masked", is_masked, a.grid, videos.shape[0])
        visible, masked = split_indices(is_masked, self._masks.count)
        pixels = videos if videos.dtype == "uint8" else unnormalise(ops.cast(videos, "float32"), a.statistics)
        weight = None if weight is None else ops.reshape(ops.cast(weight, "float32"), (-1, 1))
        if target.weight == "motion":
            moving = motion_weights(pixels, masked, tubelet=a.tubelet)
            weight = moving if weight is None else moving * weight
        expected = expected_of_hidden(pixels, masked, target, a)
        if own:
            expected *= self._one_or_nan(is_masked)
        return (videos, (visible, masked)), expected, weight

    def _one_or_nan(self, is_masked: Any) -> Any:
        """(b, 1, 1): NaN for masks of another count than is compiled for, which nothing but the values tells."""
        counts = ops.sum(ops.cast(is_masked, "int32"), axis=1)
        return ops.where(counts == self._masks.count, 1.0, float("nan"))[:, None, None]
