import numpy as np
import pytest

from mae.evaluation.probes.halves import every_other
from mae.evaluation.probes.order import other_orders, reordered


@pytest.mark.parametrize(("times", "distinct"), [(2, 1), (3, 6 - 2), (8, 40)])
def test_twins_are_in_an_order_of_their_own(times, distinct):
    orders = other_orders(40, times)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(times), (40, 1)))
    assert not (orders == np.arange(times)).all(1).any()
    if times > 2:
        assert not (orders == np.arange(times)[::-1]).all(1).any()
    assert len(np.unique(orders, axis=0)) == distinct
    np.testing.assert_array_equal(other_orders(3, times), orders[:3])


def test_tubelets_stay_whole():
    clips = np.arange(2 * 6 * 4).reshape(2, 6, 2, 2, 1)
    made = reordered(clips, np.array([[2, 0, 1], [1, 0, 2]]))
    np.testing.assert_array_equal(made[0], clips[0][[4, 5, 0, 1, 2, 3]])
    np.testing.assert_array_equal(made[1], clips[1][[2, 3, 0, 1, 4, 5]])


def test_halves_share_every_group():
    groups = np.array([3, 3, 1, 3, 1, 3, 7])
    assert every_other(groups).tolist() == [False, True, False, False, True, True, False]
