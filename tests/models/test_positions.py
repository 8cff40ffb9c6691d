import numpy as np

from mae.models.positions import position_table, sincos_table


def test_values_by_hand():
    table = sincos_table(np.array([0, 3]), 4)
    np.testing.assert_allclose(table[0], [0, 1, 0, 1])
    np.testing.assert_allclose(table[1], [np.sin(3), np.cos(3), np.sin(3 / 100), np.cos(3 / 100)], rtol=1e-6)


def test_flattened_table_counts_through_the_grid():
    np.testing.assert_array_equal(position_table("sincos", (2, 3, 4), 8), sincos_table(np.arange(24), 8))


def test_factorised_table_gives_each_axis_its_own_columns():
    table = position_table("sincos_factorised", (2, 3, 4), 20).reshape(2, 3, 4, 20)
    t, h, w = table[..., :8], table[..., 8:14], table[..., 14:]
    assert (t == t[:, :1, :1]).all()
    assert (h == h[:1, :, :1]).all()
    assert (w == w[:1, :1, :]).all()
    assert len(np.unique(table.reshape(24, 20), axis=0)) == 24
