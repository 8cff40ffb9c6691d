"""Encoder and decoder together: the model that is pre-trained."""

from dataclasses import asdict
from typing import Any

import keras
from keras import ops

from mae.checks import check_mask, check_videos
from mae.models.decoder import Decoder
from mae.models.encoder import Encoder
from mae.models.expected import expected_of_hidden
from mae.models.keras_training import MaskedTraining
from mae.models.layers import Dense
from mae.models.lean.squared_error import squared_errors
from mae.models.tokens import predicted_indices, split_indices
from mae.models.whole_model import InputShapes
from mae.patches import gather_patches, in_unit_range, normalise_patches, unnormalise
from mae.presets import Architecture, architecture, architecture_of
from mae.target_config import Target
from mae.targets import motion_weights


@keras.saving.register_keras_serializable("mae")
class Pretrainer(MaskedTraining):
    """VideoMAE (arXiv:2203.12602, figure 1): an encoder over visible tokens, a light decoder over all."""

    def __init__(self, architecture: Architecture | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        architecture = self.architecture = architecture_of(architecture)
        dtype = self.dtype_policy
        self.encoder = Encoder(architecture, dtype=dtype, name="encoder")
        self.encoder_to_decoder = Dense(
            architecture.decoder_embed_dim, use_bias=False, dtype=dtype, name="encoder_to_decoder"
        )
        self.decoder = Decoder(architecture, dtype=dtype, name="decoder")

    def build(self, videos_shape: Any = None, is_masked_shape: Any = None) -> None:
        a = self.architecture
        self.encoder.build((None, None, a.patch_dim))
        self.encoder_to_decoder.build((None, None, a.embed_dim))
        self.decoder.build((None, None, a.decoder_embed_dim), (None, None), (None, None))

    def input_shapes(self) -> InputShapes:
        a = self.architecture
        return {"videos": (a.video_shape, "uint8"), "is_masked": ((a.num_tokens,), "bool")}

    def compute_output_shape(self, videos_shape: Any, is_masked_shape: Any = None) -> Any:
        if is_masked_shape is None:
            videos_shape, _ = videos_shape
        check_videos(keras.KerasTensor(videos_shape), self.architecture)
        return (videos_shape[0], None, self.architecture.patch_dim)

    def call(self, videos: Any, is_masked: Any = None, training: bool | None = None) -> Any:
        """Predicts the masked patches.

        Args:
            videos: (b, T, H, W, c) floats normalised by `architecture.statistics` (`mae.patches.normalise`), or
                uint8, which are normalised here.
            is_masked: (b, n) bool, equally many True in every row; or what `split_indices` makes of it, where shapes
                must be known when a function is compiled. None: `videos` is a pair of both, as Keras hands over
                several inputs.

        Returns:
            (b, n_masked, pt·ph·pw·c), in ascending order of the masked indices.

        Raises:
            ValueError: videos of other sizes than the model's, or of other integers; a mask of another grid or batch;
                rows with different counts, where they are known (see `split_indices`).
        """
        a = self.architecture
        videos, is_masked = _both(videos, is_masked)
        check_videos(videos, a)
        if isinstance(is_masked, tuple | list):
            visible, masked = is_masked
        else:
            check_mask("is_masked", is_masked, a.grid, videos.shape[0])
            visible, masked = split_indices(is_masked)
        visible_patches = gather_patches(videos, visible, a.tubelet)
        if visible_patches.dtype == "uint8":
            visible_patches = normalise_patches(visible_patches, a.statistics)
        return self.predict_patches(visible_patches, visible, masked, training=training)

    def predict_patches(
        self,
        visible_patches: Any,
        visible: Any,
        masked: Any,
        path_noise: Any = None,
        training: bool | None = None,
        weights: Any = None,
    ) -> Any:
        """As `call`, from visible patches (b, v, pt·ph·pw·c) and the two index tensors of `split_indices`.

        With a decoder mask `masked` and `weights` are those of `mae.models.tokens.predicted_indices`.
        """
        tokens = self.encoder(visible_patches, visible, path_noise=path_noise, training=training)
        return self.decoder(self.encoder_to_decoder(tokens), visible, masked, weights, training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "architecture": asdict(self.architecture)}


def build_pretrainer(preset: str, dtype: Any = None, **overrides: Any) -> Pretrainer:
    """A model that predicts hidden patches of videos, built, its weights at random.

    `model(videos, is_masked)` takes clips (b, T, H, W, c), uint8 or normalised floats, and masks (b, n), bool, True
    where hidden, as many in each row; it gives the hidden patches (b, m, values of a patch), in the order of the grid.

    Args:
        preset: `vit_micro`, `vit_tiny`, `vit_small`, `vit_base`, `vit_large`, `vit_huge` or `vit_giant`.
        dtype: a Keras dtype policy, as "mixed_bfloat16"; None: the global one.
        overrides: sizes to replace, as `image_size=112`, `num_frames=8` or `depth=6`; those of `mae.architecture`.

    Raises:
        ConfigError: no such preset or size, with the nearest name, or sizes that do not fit together.

    Example:
        >>> import mae, numpy as np
        >>> model = mae.build_pretrainer("vit_micro", depth=1)
        >>> masks = mae.tube_mask(model.architecture.grid, 0.75, batch_size=2, seed=0)
        >>> tuple(model(np.zeros((2, 4, 24, 24, 3), "uint8"), masks).shape)
        (2, 108, 48)
    """
    model = Pretrainer(architecture(preset, **overrides), name="pretrainer", dtype=dtype)
    model.build_whole()
    return model


def _both(videos: Any, is_masked: Any) -> tuple[Any, Any]:
    if is_masked is not None:
        return videos, is_masked
    if not isinstance(videos, tuple | list) or len(videos) != 2:
        raise ValueError("a mask is missing: model(videos, is_masked), or model((videos, is_masked)) as in predict")
    return videos[0], videos[1]


def clip_losses(
    model: Pretrainer,
    pixels: Any,
    visible: Any,
    masked: Any,
    target: str | Target = "videomae",
    path_noise: Any = None,
    training: bool = False,
    weights: Any = None,
) -> Any:
    """Mean squared error over the masked patches of each clip, in float32; weighted where the target says so.

    Args:
        pixels: (b, T, H, W, c) floats in [0, 1], not normalised, or uint8.
        visible: (b, v) indices in the token grid.
        masked: (b, m) indices to predict: all others, or with a decoder mask those of `predicted_indices`.
        target: see `mae.target_config.Target`; a name: one by that name with the defaults.
        path_noise: (b, depth, 2) uniform numbers, see `Encoder`.
        weights: (b, m), see `predicted_indices`; None: all ones. A clip without any 1 has the loss 0.

    Returns:
        (b,) float32.

    Raises:
        ValueError: pixels of other sizes than the model's, or of other integers; indices or weights of other shapes.
    """
    a, target = model.architecture, Target.of(target)
    target.check_frames(a.num_frames)
    check_videos(pixels, a)
    visible_pixels = in_unit_range(gather_patches(pixels, visible, a.tubelet))
    visible_patches = normalise_patches(visible_pixels, a.statistics)
    predicted = model.predict_patches(visible_patches, visible, masked, path_noise, training, weights)
    errors = squared_errors(predicted, expected_of_hidden(pixels, masked, target, a), a.lean)
    if target.weight == "motion":
        moving = motion_weights(pixels, masked, tubelet=a.tubelet)
        weights = moving if weights is None else moving * weights
    if weights is None:
        return ops.mean(errors, axis=1)
    total = ops.sum(weights, axis=1)
    return ops.sum(errors * weights, axis=1) / ops.where(total > 0, total, 1.0)


def pretraining_loss(
    model: Pretrainer,
    videos: Any,
    is_masked: Any,
    target: str | Target = "videomae",
    training: bool = False,
    is_decoder_masked: Any = None,
) -> Any:
    """Mean squared error over the masked patches of each clip, averaged over clips: a scalar, float32.

    The target is computed in float32 from pixels that are not normalised.

    Args:
        model: of `mae.build_pretrainer`, or one that `mae.from_pretrained` gives.
        videos: (b, T, H, W, c) uint8, or floats normalised by ImageNet's mean and standard deviation.
        is_masked: (b, n) bool, True where hidden, as many in every row; `mae.tube_mask` and others make it.
        target: `videomae` (patches normalised for each channel and tube), `mae_st` (for each frame), `pixels` or
            `difference` (minus the frame before).
        training: whether what is random in the model, such as drop path, is on.
        is_decoder_masked: (b, n) bool; the decoder sees only the hidden patches where it is False, and the error is
            taken over those (dual masking, arXiv:2303.16727, section 3.2). None: over all that are hidden.

    Raises:
        ValueError: videos or masks of other shapes than the model's, or rows with different counts.
        ConfigError: no such target.

    Example:
        >>> import mae, numpy as np
        >>> model = mae.build_pretrainer("vit_micro", depth=1)
        >>> masks = mae.tube_mask(model.architecture.grid, 0.75, batch_size=2, seed=0)
        >>> videos = np.random.default_rng(0).integers(0, 256, (2, 4, 24, 24, 3), "uint8")
        >>> 0.5 < float(mae.pretraining_loss(model, videos, masks)) < 5
        True
    """
    a = model.architecture
    check_videos(videos, a)
    check_mask("is_masked", is_masked, a.grid, videos.shape[0])
    visible, masked = split_indices(is_masked)
    pixels = videos if videos.dtype == "uint8" else unnormalise(ops.cast(videos, "float32"), a.statistics)
    weights = None
    if is_decoder_masked is not None:
        check_mask("is_decoder_masked", is_decoder_masked, a.grid, videos.shape[0])
        masked, weights = predicted_indices(is_masked, is_decoder_masked)
    return ops.mean(clip_losses(model, pixels, visible, masked, target, training=training, weights=weights))
