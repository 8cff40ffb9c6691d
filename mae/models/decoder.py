"""The decoder: predicts the masked patches from the encoded visible ones."""

from dataclasses import asdict
from typing import Any

import keras
from keras import ops

from mae.checks import check_indices, check_shape
from mae.models.encoder import Positions
from mae.models.layers import TransformerBlock, kernel_of, run_block
from mae.models.lean.layer_norm import LayerNorm
from mae.models.whole_model import InputShapes, WholeModel
from mae.presets import Architecture, architecture_of


@keras.saving.register_keras_serializable("mae")
class Decoder(WholeModel):
    """A narrow transformer over visible tokens and mask tokens; only the latter are turned into patches."""

    def __init__(self, architecture: Architecture | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        a = self.architecture = architecture_of(architecture)
        dtype = self.dtype_policy
        self.positions = Positions(a.positions, a.grid, a.decoder_embed_dim, dtype=dtype, name="positions")
        self.blocks = [
            TransformerBlock(a, a.decoder_embed_dim, a.decoder_num_heads, dtype=dtype, name=f"block_{i}")
            for i in range(a.decoder_depth)
        ]
        self.norm = LayerNorm(a.lean, epsilon=a.final_norm_epsilon, dtype=dtype, name="norm")
        self.head = keras.layers.Dense(a.patch_dim, dtype=dtype, name="head")

    def build(self, visible_tokens_shape: Any = None, visible_shape: Any = None, masked_shape: Any = None) -> None:
        a = self.architecture
        self.mask_token = self.add_weight(
            name="mask_token",
            shape=(1, 1, a.decoder_embed_dim),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            autocast=False,
        )
        for sublayer in (self.positions, *self.blocks, self.norm, self.head):
            sublayer.build((None, None, a.decoder_embed_dim))

    def input_shapes(self) -> InputShapes:
        indices = ((None,), "int32")
        tokens = ((None, self.architecture.decoder_embed_dim), "float32")
        return {"visible_tokens": tokens, "visible": indices, "masked": indices}

    def compute_output_shape(self, visible_tokens_shape: Any, visible_shape: Any, masked_shape: Any) -> Any:
        return (*masked_shape, self.architecture.patch_dim)

    def call(
        self, visible_tokens: Any, visible: Any, masked: Any, weights: Any = None, training: bool | None = None
    ) -> Any:
        """Predicts the patches at `masked`.

        The last block computes only what becomes of these: nothing else is read from it.

        Args:
            visible_tokens: (b, v, decoder_embed_dim).
            visible: (b, v) indices of these tokens in the grid.
            masked: (b, m) indices to predict.
            weights: (b, m), 0 at indices that only fill up the row: no token attends to them. None: there are none.

        Returns:
            (b, m, pt·ph·pw·c).

        Raises:
            ValueError: arrays of other shapes or dtypes.
        """
        width = self.architecture.decoder_embed_dim
        check_shape("visible_tokens", visible_tokens, batch=None, tokens=None, width=width)
        check_indices("visible", visible, *visible_tokens.shape[:2])
        check_indices("masked", masked, visible_tokens.shape[0])
        if weights is not None:
            check_shape("weights", weights, batch=masked.shape[0], tokens=masked.shape[1])
        b, m = ops.shape(masked)
        # In float32 until it is repeated: its gradient is added up in the dtype in which it was.
        mask_tokens = ops.cast(ops.broadcast_to(self.mask_token, (b, m, width)), visible_tokens.dtype)
        tokens = self.positions(
            ops.concatenate([visible_tokens, mask_tokens], axis=1), ops.concatenate([visible, masked], axis=1)
        )
        ignored = None
        if weights is not None:
            ignored = ops.concatenate([ops.zeros_like(visible, "bool"), weights == 0], axis=1)
        first_masked = ops.shape(visible)[1]
        for block in self.blocks:
            first_query = first_masked if block is self.blocks[-1] else None
            tokens = run_block(
                block, tokens, self.architecture.remat, first_query=first_query, ignored=ignored, training=training
            )
        bias = ops.cast(self.head.bias, self.compute_dtype)
        return self.norm.then_linear(tokens, kernel_of(self.head, self.compute_dtype), bias)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "architecture": asdict(self.architecture)}
