"""Encoder and decoder together: the model that is pre-trained."""

from dataclasses import asdict
from typing import Any

import keras
from keras import ops

from mae.models.decoder import Decoder
from mae.models.encoder import Encoder
from mae.models.tokens import gather_tokens, split_indices
from mae.patches import check_channels, normalise_patches, normalised_target, patchify, unnormalise
from mae.presets import Architecture, architecture


@keras.saving.register_keras_serializable("mae")
class Pretrainer(keras.Model):
    """VideoMAE (arXiv:2203.12602, figure 1): an encoder over visible tokens, a light decoder over all."""

    def __init__(self, architecture: Architecture | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(architecture, dict):
            architecture = Architecture(**architecture)
        self.architecture = architecture
        dtype = self.dtype_policy
        self.encoder = Encoder(architecture, dtype=dtype, name="encoder")
        self.encoder_to_decoder = keras.layers.Dense(
            architecture.decoder_embed_dim, use_bias=False, dtype=dtype, name="encoder_to_decoder"
        )
        self.decoder = Decoder(architecture, dtype=dtype, name="decoder")

    def build(self, videos_shape: Any = None, is_masked_shape: Any = None) -> None:
        self.encoder.build()
        self.encoder_to_decoder.build((None, None, self.architecture.embed_dim))
        self.decoder.build()

    def call(self, videos: Any, is_masked: Any, training: bool | None = None) -> Any:
        """Predicts the masked patches.

        Args:
            videos: (b, T, H, W, c) normalised with `mae.patches.normalise` (ImageNet's statistics).
            is_masked: (b, n) bool, equally many True in every row.

        Returns:
            (b, n_masked, pt·ph·pw·c), in ascending order of the masked places.
        """
        check_channels(videos.shape, self.architecture.in_channels)
        visible, masked = split_indices(is_masked)
        patches = patchify(videos, self.architecture.tubelet)
        return self.predict_patches(gather_tokens(patches, visible), visible, masked, training=training)

    def predict_patches(
        self,
        visible_patches: Any,
        visible: Any,
        masked: Any,
        path_noise: Any = None,
        training: bool | None = None,
    ) -> Any:
        """As `call`, from visible patches (b, v, pt·ph·pw·c) and the two index tensors of `split_indices`."""
        tokens = self.encoder(visible_patches, visible, path_noise=path_noise, training=training)
        return self.decoder(self.encoder_to_decoder(tokens), visible, masked, training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "architecture": asdict(self.architecture)}


def build_pretrainer(preset: str, dtype: Any = None, **overrides: Any) -> Pretrainer:
    """A built pre-training model.

    Args:
        preset: a row of `mae.presets.PRESETS`.
        dtype: a Keras dtype policy, as "mixed_bfloat16"; None: the global one.
        overrides: sizes of `mae.presets.Architecture` to replace.
    """
    model = Pretrainer(architecture(preset, **overrides), name="pretrainer", dtype=dtype)
    model.build()
    return model


def clip_losses(
    model: Pretrainer,
    pixels: Any,
    visible: Any,
    masked: Any,
    target: str = "videomae",
    path_noise: Any = None,
    training: bool = False,
) -> Any:
    """Mean squared error over the masked patches of each clip, in float32.

    Args:
        pixels: (b, T, H, W, c) in [0, 1], or uint8.
        visible, masked: (b, v) and (b, m) places in the token grid.
        target: see `mae.patches.normalised_target`.
        path_noise: (b, depth, 2) uniform numbers, see `Encoder`.

    Returns:
        (b,) float32.
    """
    a = model.architecture
    # Floats before the transposition in `patchify`: TensorFlow's for uint8 is six times slower on a CPU.
    scale = 1 / 255 if pixels.dtype == "uint8" else 1.0
    patches = patchify(ops.cast(pixels, "float32") * scale, a.tubelet)
    visible_patches = normalise_patches(gather_tokens(patches, visible), a.in_channels)
    masked_pixels = gather_tokens(patches, masked)
    expected = ops.stop_gradient(normalised_target(masked_pixels, target, a.in_channels, a.tubelet_size))
    predicted = model.predict_patches(visible_patches, visible, masked, path_noise, training)
    return ops.mean(ops.square(ops.cast(predicted, "float32") - expected), axis=(1, 2))


def pretraining_loss(
    model: Pretrainer, videos: Any, is_masked: Any, target: str = "videomae", training: bool = False
) -> Any:
    """Mean squared error over all masked patches of a batch: a scalar, float32.

    Arguments as `Pretrainer.call` and `mae.patches.normalised_target`. The target is computed in float32 from
    un-normalised pixels.
    """
    check_channels(videos.shape, model.architecture.in_channels)
    visible, masked = split_indices(is_masked)
    pixels = unnormalise(ops.cast(videos, "float32"), model.architecture.in_channels)
    return ops.mean(clip_losses(model, pixels, visible, masked, target, training=training))
