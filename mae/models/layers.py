"""The pre-norm transformer block and its parts."""

from typing import Any

import keras
from einops import rearrange
from keras import ops


class DropPath(keras.layers.Layer):
    """Drops a residual branch for whole examples (stochastic depth, arXiv:1603.09382).

    What survives is scaled by 1/(1 - rate). With `noise`, one uniform number in [0, 1) for each example, the
    choice is a function of the caller's seed and the same for any number of replicas; without it the layer
    draws from its own seed generator.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed) if rate > 0 else None

    def call(self, branch: Any, noise: Any = None, training: bool | None = None) -> Any:
        """branch (b, n, d), noise (b,) → (b, n, d)."""
        if not training or self.rate == 0:
            return branch
        if noise is None:
            noise = keras.random.uniform((ops.shape(branch)[0],), seed=self.seed_generator)
        keep = ops.cast(noise >= self.rate, branch.dtype) / (1 - self.rate)
        return branch * ops.reshape(keep, (-1, 1, 1))


class Attention(keras.layers.Layer):
    """Multi-head self-attention, one fused projection, bias on queries and values only.

    A bias on the keys would shift all scores of a query alike and leave the softmax as it is. The softmax is
    computed in float32 whatever the compute dtype.
    """

    def __init__(self, width: int, num_heads: int, attention_dropout_rate: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.num_heads = num_heads
        self.qkv = keras.layers.Dense(3 * width, use_bias=False, dtype=self.dtype_policy, name="qkv")
        self.dropout = keras.layers.Dropout(attention_dropout_rate, dtype=self.dtype_policy, name="dropout")
        self.projection = keras.layers.Dense(width, dtype=self.dtype_policy, name="projection")

    def build(self, input_shape: Any) -> None:
        self.q_bias = self.add_weight(name="q_bias", shape=(self.width,), initializer="zeros")
        self.v_bias = self.add_weight(name="v_bias", shape=(self.width,), initializer="zeros")
        for sublayer in (self.qkv, self.projection):
            sublayer.build((None, None, self.width))

    def call(self, tokens: Any, training: bool | None = None) -> Any:
        """(b, n, d) → (b, n, d)."""
        bias = ops.concatenate([self.q_bias, ops.zeros_like(self.q_bias), self.v_bias])
        fused = self.qkv(tokens) + ops.cast(bias, self.compute_dtype)
        fused = rearrange(fused, "b n (qkv heads d) -> qkv b heads n d", qkv=3, heads=self.num_heads)
        q, k, v = ops.unstack(fused, 3, axis=0)
        scores = ops.matmul(q * (self.width // self.num_heads) ** -0.5, ops.swapaxes(k, -1, -2))
        weights = ops.cast(ops.softmax(ops.cast(scores, "float32")), self.compute_dtype)
        attended = ops.matmul(self.dropout(weights, training=training), v)
        return self.projection(rearrange(attended, "b heads n d -> b n (heads d)"))


class Mlp(keras.layers.Layer):
    """Two dense layers around an exact (erf) GELU."""

    def __init__(self, width: int, hidden: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.fc1 = keras.layers.Dense(hidden, dtype=self.dtype_policy, name="fc1")
        self.fc2 = keras.layers.Dense(width, dtype=self.dtype_policy, name="fc2")

    def build(self, input_shape: Any) -> None:
        self.fc1.build((None, None, self.width))
        self.fc2.build((None, None, self.fc1.units))

    def call(self, tokens: Any) -> Any:
        """(b, n, d) → (b, n, d)."""
        return self.fc2(ops.gelu(self.fc1(tokens), approximate=False))


class TransformerBlock(keras.layers.Layer):
    """LayerNorm → attention → residual, LayerNorm → MLP → residual (ViT, arXiv:2010.11929)."""

    def __init__(
        self,
        width: int,
        num_heads: int,
        mlp_ratio: float,
        layer_norm_epsilon: float,
        drop_path_rate: float = 0.0,
        attention_dropout_rate: float = 0.0,
        dropout_rate: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        dtype = self.dtype_policy
        hidden = round(width * mlp_ratio)
        self.norm1 = keras.layers.LayerNormalization(epsilon=layer_norm_epsilon, dtype=dtype, name="norm1")
        self.attention = Attention(width, num_heads, attention_dropout_rate, dtype=dtype, name="attention")
        self.norm2 = keras.layers.LayerNormalization(epsilon=layer_norm_epsilon, dtype=dtype, name="norm2")
        self.mlp = Mlp(width, hidden, dtype=dtype, name="mlp")
        self.dropout = keras.layers.Dropout(dropout_rate, dtype=dtype, name="dropout")
        self.drop_path = DropPath(drop_path_rate, dtype=dtype, name="drop_path")

    def build(self, input_shape: Any) -> None:
        for sublayer in (self.norm1, self.attention, self.norm2, self.mlp):
            sublayer.build((None, None, self.width))

    def call(self, tokens: Any, path_noise: Any = None, training: bool | None = None) -> Any:
        """tokens (b, n, d), path_noise (b, 2) uniform numbers for the two drop paths → (b, n, d)."""
        attention_noise, mlp_noise = (None, None) if path_noise is None else ops.unstack(path_noise, 2, axis=1)
        branch = self.attention(self.norm1(tokens), training=training)
        branch = self.dropout(branch, training=training)
        tokens = tokens + self.drop_path(branch, noise=attention_noise, training=training)
        branch = self.mlp(self.norm2(tokens))
        branch = self.dropout(branch, training=training)
        return tokens + self.drop_path(branch, noise=mlp_noise, training=training)
