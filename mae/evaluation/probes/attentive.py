"""The attentive probe: a learnt query looks among the tokens of a frozen encoder for what tells the classes."""

from typing import Any

import keras
import numpy as np
from keras import ops

from mae.evaluation.probes.fitting import fit, num_steps, predict

WARMUP = 0.1  # of the updates


class AttentivePooling(keras.Model):
    """One cross-attention block and a dense layer.

    query + attention(query, LayerNorm(tokens)) → + MLP of its LayerNorm → LayerNorm → dense. As the attentive probe of
    V-JEPA (arXiv:2404.08471, section 5): mean pooling loses what only a few tokens show.
    """

    def __init__(self, width: int, num_classes: int, num_heads: int, seed: int) -> None:
        super().__init__(dtype="float32", name="attentive_probe")
        seeds = iter(range(1000 * seed, 1000 * seed + 1000))

        def initial(std: float = 0.02) -> keras.initializers.Initializer:
            return keras.initializers.TruncatedNormal(stddev=std, seed=next(seeds))

        def glorot() -> keras.initializers.Initializer:
            return keras.initializers.GlorotUniform(seed=next(seeds))

        self.norm_tokens = keras.layers.LayerNormalization(epsilon=1e-6, name="norm_tokens")
        self.attention = keras.layers.MultiHeadAttention(
            num_heads, width // num_heads, kernel_initializer=glorot(), name="attention"
        )
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")
        self.fc1 = keras.layers.Dense(2 * width, activation="gelu", kernel_initializer=glorot(), name="fc1")
        self.fc2 = keras.layers.Dense(width, kernel_initializer=glorot(), name="fc2")
        self.norm_head = keras.layers.LayerNormalization(epsilon=1e-6, name="norm_head")
        self.head = keras.layers.Dense(num_classes, kernel_initializer=initial(), name="head")
        self.query = self.add_weight(name="query", shape=(1, 1, width), initializer=initial())

    def call(self, tokens: Any, training: bool | None = None) -> Any:
        """(b, n, d) → (b, classes)."""
        tokens = self.norm_tokens(ops.cast(tokens, "float32"))
        query = ops.tile(self.query, (ops.shape(tokens)[0], 1, 1))
        found = query + self.attention(query, tokens)
        found = found + self.fc2(self.fc1(self.norm(found)))
        return self.head(self.norm_head(found)[:, 0])


def attentive_probe(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    num_classes: int,
    seed: int = 0,
    num_heads: int = 4,
    learning_rate: float = 1e-3,
    epochs: int = 50,
    batch_size: int = 64,
    least_steps: int = 500,
) -> np.ndarray:
    """Trains `AttentivePooling` with AdamW (weight decay 0.05, matrices only), warm-up and cosine to 0.

    Args:
        train: (n, tokens, d) features of the training videos, perhaps memory-mapped.
        labels: (n,) their classes.
        test: (m, tokens, d).
        num_heads: lowered to the next number that divides d.
        epochs: visits to each row, but `least_steps` updates in any case.

    Returns:
        (m, num_classes) probabilities, float32.
    """
    width = train.shape[-1]
    heads = next(heads for heads in range(min(num_heads, width), 0, -1) if width % heads == 0)
    model = AttentivePooling(width, num_classes, heads, seed)
    model(np.zeros((1, *train.shape[1:]), np.float32))  # builds it
    steps = num_steps(len(train), batch_size, epochs, least_steps)
    warmup = max(int(WARMUP * steps), 1)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, warmup_target=learning_rate, warmup_steps=warmup
    )  # fmt: skip
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.05)
    optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if _has_no_decay(v)])
    fit(model, optimizer, train, labels, steps, batch_size, seed)
    return predict(model, test, batch_size)


def _has_no_decay(variable: Any) -> bool:
    return len(variable.shape) == 1 or variable.name in ("query", "bias")
