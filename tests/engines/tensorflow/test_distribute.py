"""Host batches on the devices of a strategy."""

import threading
import weakref

import numpy as np
import pytest
import tensorflow as tf
from replicas import strategy_of

from mae.engines.tensorflow.distribute import distributed

BATCH = 8


def batch(step):
    rows = np.arange(BATCH, dtype=np.int32) + 100 * step
    return {
        "videos": np.broadcast_to(rows.astype(np.uint8)[:, None, None], (BATCH, 3, 5)),
        "valid": np.ones(BATCH, np.float32),
        "example": rows,
        "is_masked": rows[:, None] % [2, 3] == 0,
    }


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_each_replica_gets_its_consecutive_rows(replicas):
    strategy = strategy_of(replicas)
    rows = BATCH // replicas
    made = list(distributed(strategy, map(batch, range(3))))
    assert len(made) == 3
    for step, value in enumerate(made):
        shares = strategy.experimental_local_results(value)
        assert len(shares) == replicas
        for replica, share in enumerate(shares):
            assert share.keys() == batch(step).keys()
            for name, expected in batch(step).items():
                assert share[name].dtype == expected.dtype
                assert share[name].device.endswith(f"CPU:{replica}")
                np.testing.assert_array_equal(share[name], expected[replica * rows : (replica + 1) * rows])


@pytest.mark.parametrize("replicas", [1, 2])
def test_parts_are_consecutive_rows_of_each_share(replicas):
    strategy = strategy_of(replicas)
    made = [
        [
            [share["example"].numpy().tolist() for share in strategy.experimental_local_results(part)]
            for part in parts_of_batch
        ]
        for parts_of_batch in distributed(strategy, map(batch, range(2)), parts=2)
    ]
    first = {1: [[[0, 1, 2, 3]], [[4, 5, 6, 7]]], 2: [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]}[replicas]
    assert made == [first, (np.array(first) + 100).tolist()]


def test_no_more_than_two_parts_are_on_the_devices(monkeypatch):
    """The one that is used and the next one, though all four of a batch are on the host."""
    made, most = [], []
    constant = tf.constant

    def noted(value):
        tensor = constant(value)
        if value.dtype == np.uint8:
            made.append(weakref.ref(tensor))
            most.append(sum(reference() is not None for reference in made))
        return tensor

    monkeypatch.setattr(tf, "constant", noted)
    for parts_of_batch in distributed(strategy_of(1), map(batch, range(3)), parts=4):
        for part in parts_of_batch:
            assert part["videos"].shape[0] == 2
            del part
    assert len(most) == 12
    assert max(most) <= 2


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_compiled_step_is_traced_once_and_knows_the_shapes(replicas):
    strategy = strategy_of(replicas)
    traced = []

    def total(share):
        traced.append({name: value.shape.as_list() for name, value in share.items()})
        return tf.distribute.get_replica_context().all_reduce("SUM", tf.reduce_sum(share["example"]))

    step = tf.function(lambda value: strategy.run(total, args=(value,)), autograph=False)
    sums = [
        strategy.experimental_local_results(step(value))[0] for value in distributed(strategy, map(batch, range(4)))
    ]
    assert [int(value) for value in sums] == [28, 828, 1628, 2428]  # 0 + … + 7, and 8 · 100 more in each step
    rows = BATCH // replicas
    assert (
        traced
        == [
            {"videos": [rows, 3, 5], "valid": [rows], "example": [rows], "is_masked": [rows, 2]},
        ]
        * replicas
    )


def test_rows_that_cannot_be_shared_equally_are_refused():
    with pytest.raises(ValueError, match="videos has 8 rows, which 3 replicas cannot share equally"):
        next(distributed(strategy_of(3), map(batch, range(1))))
    with pytest.raises(ValueError, match="videos has 4 rows, which 3 parts cannot share equally"):
        next(distributed(strategy_of(2), map(batch, range(1)), parts=3))


def test_one_batch_is_ready_before_it_is_asked_for():
    asked, is_asked = [], threading.Semaphore(0)

    def batches():
        for step in range(5):
            asked.append(step)
            is_asked.release()
            yield batch(step)

    made = distributed(strategy_of(2), batches())
    next(made)
    assert is_asked.acquire(timeout=10)
    assert is_asked.acquire(timeout=10)
    assert not is_asked.acquire(timeout=0.2)
    assert asked == [0, 1]
