"""The example in the docstring of each public name runs and gives what it says."""

import doctest

import pytest

import mae

LIBRARY = sorted(name for name in mae.__all__ if getattr(mae, name).__module__.startswith("mae.library."))


def examples(name):
    """The doctests of a name, of a class those of its methods too."""
    found = doctest.DocTestFinder().find(getattr(mae, name), name, globs={})
    return [example for example in found if example.examples]


@pytest.mark.parametrize("name", LIBRARY)
def test_every_name_of_the_library_has_an_example(name):
    assert examples(name) or name == "ClipDataset"  # which load_dataset makes


@pytest.mark.parametrize("name", [name for name in sorted(mae.__all__) if examples(name)])
def test_examples(name, beside_videos):
    for example in examples(name):
        told = []
        doctest.DocTestRunner(verbose=False).run(example, out=told.append)
        assert told == []
