"""Sequences over arrays behave as the tuples that they stand for."""

import numpy as np
import pyarrow as pa
import pytest

from mae.data.lists.column import Coded, Numbers, Paths, Rows, distinct, mapped, repeats, taken

COLUMNS = {
    "numbers": (Numbers(np.array([3, 1, 3], np.int32)), (3, 1, 3)),
    "rows": (Rows(np.array([[0.5, 2], [np.nan, np.nan], [1, 3]])), ((0.5, 2.0), None, (1.0, 3.0))),
    "coded": (Coded(["x", "y"], np.array([1, 0, 1])), ("y", "x", "y")),
    "paths": (Paths("/r", pa.chunked_array([["a", "/b"], ["s3://c/d"]])), ("/r/a", "/b", "s3://c/d")),
    "frames": (Paths("s3://r/", pa.chunked_array([["a", "./b", "c"]]), "/i*"), ("s3://r/a/i*", "s3://r/b/i*", "s3://r/c/i*")),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_like_a_tuple(name):
    column, values = COLUMNS[name]
    assert (len(column), tuple(column), column[1], column[-1]) == (3, values, values[1], values[2])
    assert column[1:] == values[1:]
    assert column == values
    assert column != (*values[:2], "other")
    assert taken(column, [2, 0]) == (values[2], values[0]) == taken(values, [2, 0])
    assert mapped(str, column) == mapped(str, values) == tuple(map(str, values))
    assert set(distinct(column)) == set(values)
    assert {type(value) for value in column} <= {int, str, tuple, type(None)}
    with pytest.raises(IndexError):
        column[3]


def test_numbers_are_arrays_at_once():
    assert np.asarray(Numbers(np.array([3, 1]))).tolist() == [3, 1]
    assert np.array(Rows(np.array([[1.0], [2.0]])), np.float32).tolist() == [[1], [2]]
    assert np.array(Coded([5, 7], np.array([1, 0, 1])), np.int32).tolist() == [7, 5, 7]


@pytest.mark.parametrize("make", [lambda paths: paths, tuple])
def test_what_repeats_is_found_by_path_and_all_else(make):
    paths = make(Paths("/r", pa.chunked_array([["a", "b", "a"], ["c", "b"]])))

    def groups(*others):
        places, numbers = repeats(paths, others)
        assert places.tolist() == sorted(places.tolist())
        return sorted(places[numbers == number].tolist() for number in set(numbers.tolist()))

    assert groups() == [[0, 2], [1, 4]]
    assert groups(Coded([None, 2], np.array([0, 0, 1, 0, 0]))) == [[1, 4]]
    assert groups(Rows(np.arange(10.0).reshape(5, 2))) == []
