"""The encoder: sees the patches it is given and nothing else."""

from dataclasses import asdict
from typing import Any

import keras
from keras import ops

from mae.checks import check_floats, check_indices, check_shape
from mae.models.layers import Dense, TransformerBlock, run_block
from mae.models.lean.layer_norm import LayerNorm
from mae.models.positions import position_table
from mae.models.whole_model import InputShapes, WholeModel
from mae.presets import Architecture, architecture_of


class Positions(keras.layers.Layer):
    """Adds the position of each token: a fixed table, or a learnable one."""

    def __init__(self, kind: str, grid: tuple[int, int, int], width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.grid = grid
        self.width = width

    def build(self, input_shape: Any) -> None:
        t, h, w = self.grid
        learnable = self.kind == "learnable"
        initial = keras.initializers.TruncatedNormal(stddev=0.02) if learnable else self._fixed_table
        # A weight even if it is fixed: one that was interpolated from another grid must survive saving.
        self.table = self.add_weight(
            name="table", shape=(t * h * w, self.width), initializer=initial, trainable=learnable
        )

    def _fixed_table(self, shape: Any, dtype: Any = None) -> Any:
        return ops.cast(position_table(self.kind, self.grid, self.width), dtype)

    def call(self, tokens: Any, indices: Any = None) -> Any:
        """tokens (b, k, d) at the indices `indices` (b, k), or at all indices in order → (b, k, d)."""
        table = ops.cast(self.table, tokens.dtype)
        return tokens + (table if indices is None else ops.take(table, indices, axis=0))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


@keras.saving.register_keras_serializable("mae")
class Encoder(WholeModel):
    """Embeds patches, adds their positions, and runs the blocks.

    The tubelet embedding of the released models is a convolution whose stride is its kernel: a matrix product
    over each patch. It is one here, and only of the patches that are passed in.
    """

    def __init__(self, architecture: Architecture | dict[str, Any], final_norm: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        a = self.architecture = architecture_of(architecture)
        dtype = self.dtype_policy
        self.patch_embed: keras.layers.Dense = Dense(a.embed_dim, a.lean, dtype=dtype, name="patch_embed")
        self.positions = Positions(a.positions, a.grid, a.embed_dim, dtype=dtype, name="positions")
        self.blocks = [
            TransformerBlock(
                a,
                a.embed_dim,
                a.num_heads,
                drop_path_rate=a.drop_path_rate * i / max(a.depth - 1, 1),
                dtype=dtype,
                name=f"block_{i}",
            )
            for i in range(a.depth)
        ]
        self.norm = None
        if final_norm:
            self.norm = LayerNorm(a.lean, epsilon=a.layer_norm_epsilon, dtype=dtype, name="norm")

    def build(self, patches_shape: Any = None, indices_shape: Any = None) -> None:
        a = self.architecture
        self.tokens = a.num_tokens if patches_shape is None else patches_shape[1]
        self.patch_embed.build((None, self.tokens, a.patch_dim))
        norms: list[keras.layers.Layer] = [] if self.norm is None else [self.norm]
        for sublayer in (self.positions, *self.blocks, *norms):
            sublayer.build((None, self.tokens, a.embed_dim))

    def input_shapes(self) -> InputShapes:
        return {"patches": ((self.tokens, self.architecture.patch_dim), "float32")}

    def compute_output_shape(self, patches_shape: Any, indices_shape: Any = None) -> Any:
        return (*patches_shape[:2], self.architecture.embed_dim)

    def call(self, patches: Any, indices: Any = None, path_noise: Any = None, training: bool | None = None) -> Any:
        """Encodes some or all patches of each clip.

        Args:
            patches: (b, k, pt·ph·pw·c) normalised pixels.
            indices: (b, k) indices of these patches in the token grid; None: all of them, in order.
            path_noise: (b, depth, 2) uniform numbers that decide the drop paths; None: the layers' own.

        Returns:
            (b, k, embed_dim).

        Raises:
            ValueError: arrays of other shapes or dtypes.
        """
        a = self.architecture
        all_tokens = a.num_tokens if indices is None else None
        check_shape("patches", patches, batch=None, tokens=all_tokens, values=a.patch_dim)
        check_floats("patches", patches)
        if indices is not None:
            check_indices("indices", indices, *patches.shape[:2])
        if path_noise is not None:
            check_shape("path_noise", path_noise, batch=patches.shape[0], blocks=a.depth, branches=2)
        tokens = self.positions(self.patch_embed(patches), indices)
        for i, block in enumerate(self.blocks):
            noise = None if path_noise is None else path_noise[:, i]
            tokens = run_block(block, tokens, a.remat, path_noise=noise, training=training)
        return tokens if self.norm is None else self.norm(tokens)

    def get_config(self) -> dict[str, Any]:
        final_norm = self.norm is not None
        return {**super().get_config(), "architecture": asdict(self.architecture), "final_norm": final_norm}
