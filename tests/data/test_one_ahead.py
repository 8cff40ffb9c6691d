import gc
import threading

import pytest

from mae.data.one_ahead import one_ahead


def test_results_in_order():
    assert list(one_ahead(iter(range(5)), lambda number: number**2)) == [0, 1, 4, 9, 16]
    assert list(one_ahead(iter(()), str)) == []


def test_none_is_a_result():
    assert list(one_ahead(iter([1, None]), lambda item: item)) == [1, None]


def test_exactly_one_is_made_ahead():
    made, is_made = [], threading.Semaphore(0)

    def make(number):
        made.append(number)
        is_made.release()
        return number

    results = one_ahead(iter(range(5)), make)
    for number in range(4):
        assert next(results) == number
        for _ in range(2 if number == 0 else 1):
            assert is_made.acquire(timeout=10)
        assert not is_made.acquire(timeout=0.05)
        assert made == list(range(number + 2))


@pytest.mark.parametrize("where", ["items", "function"])
def test_an_error_comes_where_the_result_would_have_come(where):
    def items():
        yield 1
        yield 2
        if where == "items":
            raise RuntimeError("no third")
        yield 3

    def check(number):
        if number == 3:
            raise RuntimeError("no third")
        return number

    results = one_ahead(items(), check)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(RuntimeError, match="no third"):
        next(results)
    assert list(results) == []


def test_what_is_left_is_let_go():
    is_closed = threading.Event()

    def items():
        try:
            yield from range(100)
        finally:
            is_closed.set()

    results = one_ahead(items(), str)
    next(results)
    del results
    gc.collect()
    assert is_closed.wait(timeout=10)
