"""Training of a small model on arrays, the same every time."""

from typing import Any

import keras
import numpy as np

from mae.engines.start import needs_xla
from mae.seeds import generator
from mae.signals import Check, never


class Rows:
    """Rows of a memory-mapped array, read when they are asked for.

    Args:
        array: (n, …).
        indices: (k,) which rows, in the order wanted.
    """

    def __init__(self, array: np.ndarray, indices: np.ndarray) -> None:
        self._array = array
        self._indices = indices

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._indices), *self._array.shape[1:])

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, key: Any) -> np.ndarray:
        """What a slice or an array of indices among these rows gives."""
        return np.asarray(self._array[self._indices[key]])


def compile_classifier(model: Any, optimizer: keras.optimizers.Optimizer) -> None:
    """Makes a model of logits ready for `fit`: an update is one compiled function, whatever the engine."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float32")
    model.compile(optimizer, loss, jit_compile=needs_xla())


def fit(
    model: Any,
    features: np.ndarray | Rows,
    labels: np.ndarray,
    steps: int,
    batch_size: int,
    seed: int,
    check: Check = never,
) -> None:
    """Minimises the cross-entropy of a compiled model over seeded batches; epochs are permutations.

    Rows are read as they are needed: `features` may be memory-mapped. `check` is called before every update.
    """
    count = len(features)
    batch_size = min(batch_size, count)
    per_epoch = count // batch_size
    for number in range(steps):
        check()
        epoch, index = divmod(number, per_epoch)
        if index == 0:
            order = generator(seed, "probe order", epoch).permutation(count)
        rows = np.sort(order[index * batch_size : (index + 1) * batch_size])
        model.train_on_batch(np.asarray(features[rows], np.float32), np.asarray(labels)[rows].astype(np.int64))


def predict(model: Any, features: np.ndarray | Rows, batch_size: int = 256) -> np.ndarray:
    """(m, …) → class probabilities (m, classes) float32."""
    batches = [
        keras.ops.softmax(model(np.asarray(features[start : start + batch_size], np.float32), training=False))
        for start in range(0, len(features), batch_size)
    ]
    return np.concatenate([keras.ops.convert_to_numpy(batch) for batch in batches])


def num_steps(count: int, batch_size: int, epochs: int, least: int) -> int:
    """Updates of so many epochs, or `least` where a small set would get fewer."""
    return max(epochs * max(count // batch_size, 1), least)
