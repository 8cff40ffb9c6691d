import numpy as np
import pytest
import tensorflow as tf

from mae.training.schedules import warmup_cosine

# base 1, final 0.2, 3 warm-up steps, 4 after them: numpy.linspace(0, 1, 3), then 0.2 + 0.8 · (1 + cos(πi/4)) / 2.
LITERAL = [0.0, 0.5, 1.0, 1.0, 0.882843, 0.6, 0.317157]


def test_literal_table():
    schedule = warmup_cosine(1.0, 0.2, total_steps=7, warmup_steps=3)
    assert [round(schedule(i), 6) for i in range(7)] == LITERAL


def test_tensors_get_the_same_values():
    schedule = warmup_cosine(1.0, 0.2, total_steps=7, warmup_steps=3)
    traced = tf.function(schedule, autograph=False)
    np.testing.assert_allclose([float(traced(tf.constant(i, tf.int64))) for i in range(7)], LITERAL, atol=1e-6)


def test_after_the_end_the_value_stays_final():
    assert warmup_cosine(1.0, 0.2, 7, 3)(7) == pytest.approx(0.2)
    assert warmup_cosine(1.0, 0.2, 7, 3)(100) == pytest.approx(0.2)


def test_without_warmup_it_starts_at_the_peak():
    assert warmup_cosine(1.0, 0.0, 10, 0)(0) == 1.0


def test_warmup_longer_than_the_run_is_still_a_warmup():
    schedule = warmup_cosine(1.0, 0.0, total_steps=3, warmup_steps=11)
    assert [schedule(i) for i in range(3)] == pytest.approx([0.0, 0.1, 0.2])


def test_impossible_lengths():
    with pytest.raises(ValueError, match="total_steps=0"):
        warmup_cosine(1.0, 0.0, 0, 0)
