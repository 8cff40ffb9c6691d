"""The linear probe: how well a linear classifier reads the classes off frozen, pooled features."""

import keras
import numpy as np
from keras import ops

from mae.evaluation.probes.fitting import compile_classifier, fit, num_steps, predict


class LinearHead(keras.Model):
    """Features normalised without scale and shift, then one dense layer that starts at zero."""

    def __init__(self, mean: np.ndarray, std: np.ndarray, num_classes: int) -> None:
        super().__init__(dtype="float32", name="linear_probe")
        self.mean, self.std = mean, std
        self.dense = keras.layers.Dense(num_classes, kernel_initializer="zeros", dtype="float32", name="dense")
        self.dense.build((None, len(mean)))
        self.built = True

    def call(self, features: np.ndarray, training: bool | None = None) -> np.ndarray:
        """(b, d) → (b, classes)."""
        return self.dense((ops.cast(features, "float32") - self.mean) / self.std)


def linear_probe(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    num_classes: int,
    seed: int = 0,
    epochs: int = 100,
    batch_size: int = 256,
    least_steps: int = 3000,
) -> np.ndarray:
    """BatchNorm without affine, then a dense layer; SGD with momentum 0.9, cosine to 0, no weight decay.

    The published probe (MAE, arXiv:2111.06377, appendix A.1) with two changes that cached features allow: the
    statistics are those of the whole training set, and in place of a searched learning rate stands the inverse of
    the curvature bound λ/2, λ the largest eigenvalue of the features' correlation matrix, which no data makes diverge.

    Args:
        train: (n, d) pooled features of the training videos.
        labels: (n,) their classes.
        test: (m, d).
        epochs: visits to each row, but `least_steps` updates in any case.

    Returns:
        (m, num_classes) probabilities, float32.
    """
    mean = np.asarray(np.mean(train, axis=0, dtype=np.float64))
    std = np.asarray(np.sqrt(np.var(train, axis=0, dtype=np.float64) + 1e-6))
    steps = num_steps(len(train), batch_size, epochs, least_steps)
    bound = _largest_eigenvalue((np.asarray(train, np.float64) - mean) / std) / 2
    rate = keras.optimizers.schedules.CosineDecay(1 / max(bound, 1e-6), steps)
    model = LinearHead(mean.astype(np.float32), std.astype(np.float32), num_classes)
    compile_classifier(model, keras.optimizers.SGD(rate, momentum=0.9))
    fit(model, train, labels, steps, batch_size, seed)
    return predict(model, test)


def _largest_eigenvalue(rows: np.ndarray) -> float:
    """Of rowsᵀ·rows / n."""
    small = rows.T @ rows if rows.shape[1] <= rows.shape[0] else rows @ rows.T
    return float(np.linalg.eigvalsh(small / len(rows))[-1])
