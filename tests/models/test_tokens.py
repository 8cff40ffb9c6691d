import numpy as np
import pytest
import tensorflow as tf

from mae.masking import MASKS
from mae.models.tokens import gather_tokens, split_indices


@pytest.mark.parametrize("kind", MASKS)
def test_indices_are_sorted_and_split_the_grid(kind):
    is_masked = MASKS[kind]((4, 4, 4), 0.5, batch_size=3, seed=0)
    visible, masked = (np.asarray(x) for x in split_indices(is_masked))
    for b in range(3):
        assert visible[b].tolist() == np.flatnonzero(~is_masked[b]).tolist()
        assert masked[b].tolist() == np.flatnonzero(is_masked[b]).tolist()


def test_unequal_counts_are_refused():
    with pytest.raises(ValueError, match=r"same number of masked tokens, got \[1, 2\]"):
        split_indices(np.array([[True, False, False], [True, True, False]]))


def test_static_shapes_where_the_count_is_given():
    traced = tf.function(
        lambda m: split_indices(m, 48), input_signature=[tf.TensorSpec((None, 64), tf.bool)], autograph=False
    )
    visible, masked = traced.get_concrete_function().structured_outputs
    assert visible.shape.as_list() == [None, 16]
    assert masked.shape.as_list() == [None, 48]


def test_gathering_takes_each_examples_own_rows():
    tokens = np.arange(2 * 5 * 3, dtype="float32").reshape(2, 5, 3)
    gathered = np.asarray(gather_tokens(tokens, np.array([[4, 0], [1, 1]], "int32")))
    np.testing.assert_array_equal(gathered, [tokens[0, [4, 0]], tokens[1, [1, 1]]])
