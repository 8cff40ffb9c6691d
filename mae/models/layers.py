"""The pre-norm transformer block and its parts."""

from typing import Any

import keras
import numpy as np
from einops import rearrange
from keras import ops

from mae.models.lean.attention import chunked_attention, fused_attention, plain_attention
from mae.models.lean.layer_norm import LayerNorm
from mae.models.lean.linear import gelu_linear, linear
from mae.models.lean.product import matmul
from mae.presets import Architecture

# The score of a key that is to be ignored: e^-30000 is exactly 0, and float16 can hold it.
_IGNORED = -3e4


class Dense(keras.layers.Dense):
    """Keras' layer through `linear`: Keras adds up the gradient of its bias in half precision, where much is lost."""

    def __init__(self, units: int, lean: bool = True, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.lean = lean

    def call(self, tokens: Any, training: bool | None = None) -> Any:
        """(…, d) → (…, units)."""
        rows = ops.reshape(tokens, (-1, tokens.shape[-1]))
        kernel = ops.cast(self.kernel, self.compute_dtype)
        if self.bias is None:
            made = matmul(rows, kernel)
        else:
            made = linear(rows, kernel, ops.cast(self.bias, self.compute_dtype), self.lean)
        return ops.reshape(made, (*ops.shape(tokens)[:-1], self.units))


def kernel_of(dense: keras.layers.Dense, dtype: Any) -> Any:
    """The kernel that a layer of Keras multiplies with, its LoRA added, and back from int8 where it is quantised.

    Raises:
        ValueError: quantised in another way.
    """
    mode = dense.quantization_mode
    if mode is None:
        return ops.cast(dense.kernel, dtype)
    if mode != "int8":
        raise ValueError(f"{dense.path} is quantised as {mode}: of these, models of this project compute with int8")
    kernel = ops.cast(dense._kernel, "float32") / ops.cast(dense.kernel_scale, "float32")
    if dense.lora_enabled:
        kernel += dense.lora_alpha / dense.lora_rank * ops.matmul(dense.lora_kernel_a, dense.lora_kernel_b)
    return ops.cast(kernel, dtype)


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
    computed in float32 whatever the compute dtype. `kind` is how, in `mae.options.ATTENTIONS`: see
    `mae.models.lean.attention`; in training with dropout on the weights, which needs all of them, it is "plain".
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        attention_dropout_rate: float = 0.0,
        kind: str = "plain",
        chunk: int = 2_500_000,
        lean: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.num_heads = num_heads
        self.kind = kind
        self.chunk = chunk
        self.lean = lean
        self.qkv = keras.layers.Dense(3 * width, use_bias=False, dtype=self.dtype_policy, name="qkv")
        self.dropout = keras.layers.Dropout(attention_dropout_rate, dtype=self.dtype_policy, name="dropout")
        self.projection = keras.layers.Dense(width, dtype=self.dtype_policy, name="projection")

    def build(self, input_shape: Any) -> None:
        self.q_bias = self.add_weight(name="q_bias", shape=(self.width,), initializer="zeros")
        self.v_bias = self.add_weight(name="v_bias", shape=(self.width,), initializer="zeros")
        for sublayer in (self.qkv, self.projection):
            sublayer.build((None, None, self.width))

    def call(
        self,
        tokens: Any,
        norm: LayerNorm,
        first_query: Any = None,
        ignored: Any = None,
        training: bool | None = None,
    ) -> Any:
        """Attends from all tokens, or from those from `first_query` on, to all tokens that are not `ignored`.

        Args:
            tokens: (b, n, d).
            norm: what the tokens go through before.
            first_query: how many tokens at the beginning serve as keys only; None: none.
            ignored: (b, n) bool.

        Returns:
            (b, n - first_query, d).
        """
        q, k, v = self._queries_keys_values(tokens, norm, first_query)
        drops = bool(training) and self.dropout.rate > 0
        attended = self._attended(q, k, v, ignored, "plain" if drops else self.kind, training)
        kernel, bias = kernel_of(self.projection, self.compute_dtype), self._cast(self.projection.bias)
        return _linear(attended, kernel, bias, self.lean)

    def attention_weights(self, tokens: Any, norm: LayerNorm, query: int | None = None) -> Any:
        """How much tokens attend to each of all, as `call` weighs them in inference; for looking at.

        Args:
            tokens, norm: as in `call`.
            query: the index of the only token that attends; None: all do.

        Returns:
            (b, heads, n, n), or (b, heads, 1, n), float32; sums over the last axis are 1.
        """
        q, k, _ = self._queries_keys_values(tokens, norm, None)
        q = q if query is None else q[:, :, query : query + 1]
        return ops.softmax(ops.cast(ops.matmul(q, ops.swapaxes(k, -1, -2)), "float32"))

    def _attended(self, q: Any, k: Any, v: Any, ignored: Any, kind: str, training: bool | None) -> Any:
        """(b, heads, n, d / heads), twice (b, heads, m, d / heads) → (b, n, d)."""
        if kind == "fused":
            return fused_attention(q, k, v, ignored)
        if ignored is not None:
            score = ops.cast(ignored, q.dtype)[:, None, :, None] * _IGNORED
            q = ops.concatenate([q, ops.ones_like(q[..., :1])], axis=-1)
            k = ops.concatenate([k, ops.broadcast_to(score, ops.shape(k[..., :1]))], axis=-1)
        if kind == "chunked":
            return chunked_attention(q, k, v, self.chunk)
        return plain_attention(q, k, v, lambda weights: self.dropout(weights, training=training))

    def _queries_keys_values(self, tokens: Any, norm: LayerNorm, first_query: Any) -> tuple[Any, Any, Any]:
        """Three of (b, heads, n, d / heads), queries scaled by 1/√(d / heads); fewer queries with `first_query`."""
        bias = ops.concatenate([self.q_bias, ops.zeros(self.width), self.v_bias])
        # Scaled weights give scaled queries, without another pass over all of them and its copy kept for later.
        by_part = np.repeat([(self.width // self.num_heads) ** -0.5, 1, 1], self.width)
        scale = ops.convert_to_tensor(by_part, dtype="float32")
        kernel = self._cast(kernel_of(self.qkv, "float32") * scale)
        bias = self._cast(ops.cast(bias, "float32") * scale)
        if first_query is None:
            fused = norm.then_linear(tokens, kernel, bias)
            fused = rearrange(fused, "b n (qkv heads d) -> qkv b heads n d", qkv=3, heads=self.num_heads)
            q, k, v = ops.unstack(fused, 3, axis=0)
            return q, k, v
        width = self.width
        q = norm.then_linear(tokens[:, first_query:], kernel[:, :width], bias[:width])
        kv = norm.then_linear(tokens, kernel[:, width:], bias[width:])
        q = rearrange(q, "b n (heads d) -> b heads n d", heads=self.num_heads)
        k, v = ops.unstack(rearrange(kv, "b n (kv heads d) -> kv b heads n d", kv=2, heads=self.num_heads), 2, axis=0)
        return q, k, v

    def _cast(self, weight: Any) -> Any:
        return ops.cast(weight, self.compute_dtype)


def _linear(tokens: Any, kernel: Any, bias: Any, lean: bool) -> Any:
    """`linear` of all tokens as one matrix: TensorFlow then adds the bias inside the matrix product."""
    b, n, _ = ops.shape(tokens)
    return rearrange(linear(rearrange(tokens, "b n d -> (b n) d"), kernel, bias, lean), "(b n) d -> b n d", b=b, n=n)


class Mlp(keras.layers.Layer):
    """Two dense layers around an exact (erf) GELU."""

    def __init__(self, width: int, hidden: int, lean: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.lean = lean
        self.fc1 = keras.layers.Dense(hidden, dtype=self.dtype_policy, name="fc1")
        self.fc2 = keras.layers.Dense(width, dtype=self.dtype_policy, name="fc2")

    def build(self, input_shape: Any) -> None:
        self.fc1.build((None, None, self.width))
        self.fc2.build((None, None, self.fc1.units))

    def call(self, tokens: Any, norm: LayerNorm) -> Any:
        """Of tokens that go through `norm` before: (b, n, d) → (b, n, d)."""
        b, n, _ = ops.shape(tokens)
        rows = rearrange(tokens, "b n d -> (b n) d")
        hidden = norm.then_linear(rows, *self._weights(self.fc1))
        return rearrange(gelu_linear(hidden, *self._weights(self.fc2), self.lean), "(b n) d -> b n d", b=b, n=n)

    def _weights(self, dense: keras.layers.Dense) -> tuple[Any, Any]:
        return kernel_of(dense, self.compute_dtype), ops.cast(dense.bias, self.compute_dtype)


class TransformerBlock(keras.layers.Layer):
    """LayerNorm → attention → residual, LayerNorm → MLP → residual (ViT, arXiv:2010.11929).

    Width, heads and rate of the drop paths are the block's own; whatever else it needs, `architecture` says.
    """

    def __init__(
        self, architecture: Architecture, width: int, num_heads: int, drop_path_rate: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        a, dtype = architecture, self.dtype_policy
        self.width = width
        self.norm1 = LayerNorm(a.lean, epsilon=a.layer_norm_epsilon, dtype=dtype, name="norm1")
        self.attention = Attention(
            width,
            num_heads,
            a.attention_dropout_rate,
            a.attention,
            a.attention_chunk,
            a.lean,
            dtype=dtype,
            name="attention",
        )
        self.norm2 = LayerNorm(a.lean, epsilon=a.layer_norm_epsilon, dtype=dtype, name="norm2")
        self.mlp = Mlp(width, round(width * a.mlp_ratio), a.lean, dtype=dtype, name="mlp")
        self.dropout = keras.layers.Dropout(a.dropout_rate, dtype=dtype, name="dropout")
        self.drop_path = DropPath(drop_path_rate, dtype=dtype, name="drop_path")

    def build(self, input_shape: Any) -> None:
        for sublayer in (self.norm1, self.attention, self.norm2, self.mlp, self.dropout, self.drop_path):
            sublayer.build((None, None, self.width))

    def call(
        self,
        tokens: Any,
        path_noise: Any = None,
        first_query: Any = None,
        ignored: Any = None,
        training: bool | None = None,
    ) -> Any:
        """What becomes of the tokens from `first_query` on (None: of all).

        Args:
            tokens: (b, n, d).
            path_noise: (b, 2) uniform numbers for the two drop paths; None: the layers' own.
            first_query: tokens before it are only attended to.
            ignored: (b, n) bool, tokens that are not attended to.

        Returns:
            (b, n - first_query, d).
        """
        attention_noise, mlp_noise = (None, None) if path_noise is None else ops.unstack(path_noise, 2, axis=1)
        branch = self.attention(tokens, norm=self.norm1, first_query=first_query, ignored=ignored, training=training)
        branch = self.dropout(branch, training=training)
        tokens = tokens if first_query is None else tokens[:, first_query:]
        tokens = tokens + self.drop_path(branch, noise=attention_noise, training=training)
        branch = self.mlp(tokens, norm=self.norm2)
        branch = self.dropout(branch, training=training)
        return tokens + self.drop_path(branch, noise=mlp_noise, training=training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def run_block(block: TransformerBlock, tokens: Any, remat: str, path_noise: Any = None, **arguments: Any) -> Any:
    """`block(tokens, …)`; with `remat="blocks"` only `tokens` are kept, and the backward pass runs the block again."""
    if remat == "none":
        return block(tokens, path_noise=path_noise, **arguments)
    if path_noise is None and arguments.get("training") and block.drop_path.rate > 0:
        # Drawn here and once: the block would draw other numbers when it runs again.
        path_noise = keras.random.uniform((ops.shape(tokens)[0], 2), seed=block.drop_path.seed_generator)
    # Only what needs a gradient is an argument: TensorFlow adds to every argument to keep the order of execution.
    return keras.remat(lambda tokens: block(tokens, path_noise=path_noise, **arguments))(tokens)
