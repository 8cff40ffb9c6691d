"""The attentive probe: a learnt query looks among the tokens of a frozen encoder for what tells the classes."""

from typing import Any

import keras
import numpy as np
from keras import ops

from mae.evaluation.probes.fitting import Rows, compile_classifier, fit, num_steps, predict
from mae.signals import Check, never

WARMUP = 0.1  # of the updates
NUM_HEADS = 4
BATCH_SIZE = 64


class QueryAttention(keras.layers.Layer):
    """Multi-head attention of one learnt query over tokens, (b, n, d) → (b, d).

    With a single query, keys and values of the tokens need not be computed: the key projection is applied to the query
    and the value projection to what the query found. That is n times less work, and the same function.
    """

    def __init__(self, num_heads: int, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.seed = seed

    def build(self, input_shape: Any) -> None:
        width = input_shape[-1]
        kernel = (width, self.num_heads, width // self.num_heads)
        seeds = iter(range(self.seed, self.seed + 4))

        def initial() -> keras.initializers.Initializer:
            # As glorot_uniform of a (width, width) matrix.
            return keras.initializers.RandomUniform(-((3 / width) ** 0.5), (3 / width) ** 0.5, seed=next(seeds))

        small = keras.initializers.TruncatedNormal(stddev=0.02, seed=next(seeds))
        self.query = self.add_weight(name="query", shape=kernel[1:], initializer=small)
        self.key = self.add_weight(name="key", shape=kernel, initializer=initial())
        self.value = self.add_weight(name="value", shape=kernel, initializer=initial())
        self.value_bias = self.add_weight(name="value_bias", shape=kernel[1:], initializer="zeros")
        self.output_kernel = self.add_weight(name="output", shape=(width, width), initializer=initial())
        self.output_bias = self.add_weight(name="output_bias", shape=(width,), initializer="zeros")

    def call(self, tokens: Any) -> Any:
        b, _, d = ops.shape(tokens)
        folded = ops.einsum("hk,dhk->hd", self.query, self.key) * (d // self.num_heads) ** -0.5
        weights = ops.softmax(ops.matmul(folded, ops.swapaxes(tokens, 1, 2)), axis=-1)  # b h n
        found = ops.matmul(weights, tokens)  # b h d
        values = ops.einsum("bhd,dhk->bhk", found, self.value) + self.value_bias
        return ops.matmul(ops.reshape(values, (b, d)), self.output_kernel) + self.output_bias


class AttentivePooling(keras.Model):
    """One cross-attention block and a dense layer.

    Tokens normalised → attention of a learnt query → + MLP of its LayerNorm → LayerNorm → dense. As the attentive probe
    of V-JEPA (arXiv:2404.08471, section 5): mean pooling loses what only a few tokens show.
    """

    def __init__(self, width: int, num_classes: int, num_heads: int, seed: int) -> None:
        super().__init__(dtype="float32", name="attentive_probe")
        seeds = iter(range(1000 * seed, 1000 * seed + 100))

        def dense(units: int, name: str, **kwargs: Any) -> keras.layers.Dense:
            initial = keras.initializers.GlorotUniform(seed=next(seeds))
            return keras.layers.Dense(units, kernel_initializer=initial, dtype="float32", name=name, **kwargs)

        self.attention = QueryAttention(num_heads, 1000 * seed + 100, dtype="float32", name="attention")
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, dtype="float32", name="norm")
        self.fc1 = dense(2 * width, "fc1", activation="gelu")
        self.fc2 = dense(width, "fc2")
        self.norm_head = keras.layers.LayerNormalization(epsilon=1e-6, dtype="float32", name="norm_head")
        initial = keras.initializers.TruncatedNormal(stddev=0.02, seed=next(seeds))
        self.head = keras.layers.Dense(num_classes, kernel_initializer=initial, dtype="float32", name="head")

    def call(self, tokens: Any, training: bool | None = None) -> Any:
        """(b, n, d) → (b, classes)."""
        # A LayerNorm whose scale and shift the projections after it contain.
        tokens = ops.cast(tokens, "float32")
        tokens = tokens - ops.mean(tokens, axis=-1, keepdims=True)
        tokens = tokens * ops.rsqrt(ops.mean(ops.square(tokens), axis=-1, keepdims=True) + 1e-6)
        found = self.attention(tokens)
        found = found + self.fc2(self.fc1(self.norm(found)))
        return self.head(self.norm_head(found))


class AttentiveProbe:
    """`AttentivePooling` with AdamW (weight decay 0.05, matrices only), warm-up and cosine to 0.

    Made once, it is fitted as often as wanted: every time from the same initial weights, and compiled the first time
    only. It has `NUM_HEADS` heads, or the next smaller number of them that divides d.

    Args:
        tokens: (n, d) of a video.
        steps: updates of each fit.
    """

    def __init__(
        self, tokens: tuple[int, ...], num_classes: int, steps: int, seed: int = 0, learning_rate: float = 1e-3
    ) -> None:
        width = tokens[-1]
        heads = next(heads for heads in range(min(NUM_HEADS, width), 0, -1) if width % heads == 0)
        self._model = AttentivePooling(width, num_classes, heads, seed)
        self._model(keras.KerasTensor((1, *tokens)))  # builds it, and computes nothing
        self._steps = steps
        self._seed = seed
        warmup = max(int(WARMUP * steps), 1)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(steps - warmup, 1), warmup_target=learning_rate, warmup_steps=warmup
        )  # fmt: skip
        optimizer = keras.optimizers.AdamW(rate, weight_decay=0.05)
        optimizer.exclude_from_weight_decay(var_list=[v for v in self._model.trainable_variables if _has_no_decay(v)])
        optimizer.build(self._model.trainable_variables)
        compile_classifier(self._model, optimizer)
        self._variables = [*self._model.variables, *optimizer.variables]
        self._initial = [ops.convert_to_numpy(variable) for variable in self._variables]

    def fitted(
        self, train: np.ndarray | Rows, labels: np.ndarray, test: np.ndarray | Rows, check: Check = never
    ) -> np.ndarray:
        """The classes of other videos, read off the features of `train`.

        Args:
            train: (n, tokens, d) features of the training videos, perhaps memory-mapped.
            labels: (n,) their classes.
            test: (m, tokens, d).
            check: called before every update; may give it up.

        Returns:
            (m, num_classes) probabilities, float32.
        """
        for variable, value in zip(self._variables, self._initial, strict=True):
            variable.assign(value)
        fit(self._model, train, labels, self._steps, BATCH_SIZE, self._seed, check)
        return predict(self._model, test, BATCH_SIZE)


def attentive_probe(
    train: np.ndarray | Rows,
    labels: np.ndarray,
    test: np.ndarray | Rows,
    num_classes: int,
    seed: int = 0,
    learning_rate: float = 1e-3,
    epochs: int = 50,
    least_steps: int = 500,
) -> np.ndarray:
    """An `AttentiveProbe` fitted once; `epochs` are visits to each row, but `least_steps` updates in any case."""
    steps = num_steps(len(train), BATCH_SIZE, epochs, least_steps)
    return AttentiveProbe(train.shape[1:], num_classes, steps, seed, learning_rate).fitted(train, labels, test)


def _has_no_decay(variable: Any) -> bool:
    return len(variable.shape) == 1 or variable.name in ("query", "value_bias")
