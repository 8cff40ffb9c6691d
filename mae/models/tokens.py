"""Picking tokens out of a sequence."""

from typing import Any

from keras import ops

from mae.checks import check_indices, check_mask, check_shape, known_values


def gather_tokens(tokens: Any, indices: Any) -> Any:
    """Rows of each example: (b, n, d) and (b, k) int → (b, k, d).

    A gather over one flattened axis: several times faster than `take_along_axis` on TensorFlow.
    """
    check_shape("tokens", tokens, batch=None, tokens=None, width=None)
    check_indices("indices", indices, batch=tokens.shape[0])
    b, n, d = ops.shape(tokens)
    rows = ops.expand_dims(ops.arange(b, dtype="int32") * n, 1) + indices
    return ops.take(ops.reshape(tokens, (b * n, d)), rows, axis=0)


def split_indices(is_masked: Any, masked: int | None = None) -> tuple[Any, Any]:
    """The indices of visible and of masked tokens, each in ascending order.

    Args:
        is_masked: (b, n) bool, the same number of True in every row.
        masked: that number. Needed where shapes must be static (XLA, JAX); counted where it is not given.

    Returns:
        `(visible, masked)`: (b, v) and (b, m) int32.

    Raises:
        ValueError: not (b, n) bool; and, where the values are known (not inside a traced function), rows with different
            counts, another count than `masked`, or nothing masked or visible.
    """
    check_mask("is_masked", is_masked)
    _check_counts(is_masked, masked)
    is_masked = ops.convert_to_tensor(is_masked)
    if masked is None:
        masked = _count_masked(is_masked)
    return _in_order(is_masked, is_masked.shape[1] - masked)


def _in_order(is_last: Any, first: Any) -> tuple[Any, Any]:
    """Places in ascending order, first those that are not `is_last`, cut after `first` of them."""
    n = is_last.shape[1]
    indices = ops.arange(n, dtype="int32")
    # Distinct keys make the order independent of whether the backend's sort is stable.
    order = ops.cast(ops.argsort(ops.where(is_last, indices + n, indices), axis=1), "int32")
    return order[:, :first], order[:, first:]


def predicted_indices(is_masked: Any, is_decoder_masked: Any, predicted: Any = None) -> tuple[Any, Any]:
    """The indices a decoder predicts under two masks: masked for the encoder and not for the decoder.

    How many these are may differ between examples. Rows of fixed length are filled up with other indices, which have
    weight 0, so that the decoder ignores them and no loss is taken there.

    Args:
        is_masked, is_decoder_masked: (b, n) bool.
        predicted: the length of the rows, see `mae.masking.num_predicted`; None: the largest count of the batch.

    Returns:
        `(indices, weights)`: (b, predicted) int32, and float32 of ones after any zeros.

    Raises:
        ValueError: masks that are not bool or not of one shape; and, where the values are known, a row with more
            indices than `predicted`.
    """
    check_mask("is_masked", is_masked)
    check_mask("is_decoder_masked", is_decoder_masked)
    batch, tokens = is_masked.shape
    check_shape("is_decoder_masked (as is_masked)", is_decoder_masked, batch=batch, tokens=tokens)
    is_predicted = ops.logical_and(is_masked, ops.logical_not(is_decoder_masked))
    counts = ops.sum(ops.cast(is_predicted, "int32"), axis=1)
    known = known_values(counts)
    if isinstance(predicted, int) and known is not None and known.max(initial=0) > predicted:
        raise ValueError(f"predicted={predicted} is too few: an example has {known.max()} tokens to predict")
    if predicted is None:
        predicted = ops.max(counts)
    n = is_predicted.shape[1]
    _, indices = _in_order(is_predicted, n - predicted)
    fill = ops.expand_dims(predicted - counts, 1)
    return indices, ops.cast(ops.arange(predicted, dtype="int32") >= fill, "float32")


def _check_counts(is_masked: Any, masked: int | None) -> None:
    values = known_values(is_masked)
    if values is None:
        return
    counts, n = sorted({int(count) for count in values.sum(axis=1)}), values.shape[1]
    if len(counts) > 1:
        raise ValueError(f"every example must have the same number of masked tokens, got {counts}")
    if counts and masked is not None and counts != [masked]:
        raise ValueError(f"is_masked masks {counts[0]} tokens of each example, expected {masked}")
    if counts and not 0 < counts[0] < n:
        raise ValueError(f"is_masked masks {counts[0]} of {n} tokens: at least one must be masked and one visible")


def _count_masked(is_masked: Any) -> Any:
    values = known_values(is_masked)
    if values is None:  # TensorFlow takes the count at run time
        return ops.sum(ops.cast(is_masked[0], "int32"))
    return int(values[0].sum())
