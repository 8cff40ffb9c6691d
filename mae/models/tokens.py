"""Picking tokens out of a sequence."""

from typing import Any

from keras import ops


def gather_tokens(tokens: Any, indices: Any) -> Any:
    """Rows of each example: (b, n, d) and (b, k) int → (b, k, d).

    A gather over one flattened axis: several times faster than `take_along_axis` on TensorFlow.
    """
    b, n, d = ops.shape(tokens)
    rows = ops.expand_dims(ops.arange(b, dtype="int32") * n, 1) + indices
    return ops.take(ops.reshape(tokens, (b * n, d)), rows, axis=0)


def split_indices(is_masked: Any, masked: int | None = None) -> tuple[Any, Any]:
    """The places of visible and of masked tokens, each in ascending order.

    Args:
        is_masked: (b, n) bool, the same number of True in every row.
        masked: that number. Needed where shapes must be static (XLA, JAX); counted where it is not given.

    Returns:
        `(visible, masked)`: (b, v) and (b, m) int32.

    Raises:
        ValueError: rows with different counts (where the values are known, that is outside a traced function).
    """
    is_masked = ops.convert_to_tensor(is_masked, dtype="bool")
    if masked is None:
        masked = _count_masked(is_masked)
    return _in_order(is_masked, is_masked.shape[1] - masked)


def _in_order(is_last: Any, first: Any) -> tuple[Any, Any]:
    """Places in ascending order, first those that are not `is_last`, cut after `first` of them."""
    n = is_last.shape[1]
    places = ops.arange(n, dtype="int32")
    # Distinct keys make the order independent of whether the backend's sort is stable.
    order = ops.cast(ops.argsort(ops.where(is_last, places + n, places), axis=1), "int32")
    return order[:, :first], order[:, first:]


def predicted_indices(is_masked: Any, is_decoder_masked: Any, predicted: Any = None) -> tuple[Any, Any]:
    """The places a decoder predicts under two masks: masked for the encoder and not for the decoder.

    How many these are may differ between examples. Rows of fixed length are filled up with other places, which have
    weight 0, so that the decoder ignores them and no loss is taken there.

    Args:
        is_masked, is_decoder_masked: (b, n) bool.
        predicted: the length of the rows, see `mae.masking.num_predicted`; None: the largest count of the batch.

    Returns:
        `(places, weights)`: (b, predicted) int32, and float32 of ones after any zeros.
    """
    is_masked = ops.convert_to_tensor(is_masked, dtype="bool")
    is_predicted = ops.logical_and(is_masked, ops.logical_not(ops.convert_to_tensor(is_decoder_masked, dtype="bool")))
    counts = ops.sum(ops.cast(is_predicted, "int32"), axis=1)
    if predicted is None:
        predicted = ops.max(counts)
    n = is_predicted.shape[1]
    _, places = _in_order(is_predicted, n - predicted)
    fill = ops.expand_dims(predicted - counts, 1)
    return places, ops.cast(ops.arange(predicted, dtype="int32") >= fill, "float32")


def _count_masked(is_masked: Any) -> Any:
    counts = ops.sum(ops.cast(is_masked, "int32"), axis=1)
    try:
        values = ops.convert_to_numpy(counts)
    except (NotImplementedError, AttributeError):  # a symbolic tensor: TensorFlow takes the count at run time
        return counts[0]
    if len(set(values.tolist())) != 1:
        raise ValueError(
            f"every example must have the same number of masked tokens, got {sorted(set(values.tolist()))}"
        )
    return int(values[0])
