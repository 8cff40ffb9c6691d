"""The example in the docstring of each public name runs and gives what it says; all arguments are documented."""

import doctest
import inspect
import os
import re

import pytest

import mae

OF_A_RUN = ("Run", "finetune")  # their examples begin with one that is there


def examples(name):
    """The doctests of a name, of a class those of its methods too."""
    found = doctest.DocTestFinder().find(getattr(mae, name), name, globs={})
    return [example for example in found if example.examples]


@pytest.mark.parametrize("name", sorted(mae.__all__))
def test_every_name_has_an_example(name):
    assert examples(name)


@pytest.mark.parametrize("name", sorted(mae.__all__))
def test_every_argument_is_documented(name):
    """In the docstring of a function or of the class that it makes."""
    public = getattr(mae, name)
    told = re.search(r"^( *)(Args|Attributes):\n(.*?)(\n\n|\Z)", public.__doc__, re.MULTILINE | re.DOTALL)
    documented = re.findall(r"^ {4,8}(\w+): ", told[3], re.MULTILINE) if told else []
    made_elsewhere = name == "ClipDataset"
    asked = [] if made_elsewhere else [each for each in inspect.signature(public).parameters if each != "kwargs"]
    assert [each for each in asked if each not in documented] == []


@pytest.mark.commands
@pytest.mark.parametrize("name", sorted(mae.__all__))
def test_examples(name, beside_videos, request):
    if name in OF_A_RUN:
        os.mkdir("outputs")
        os.symlink(request.getfixturevalue("pretrained"), "outputs/folder-vit_micro")
    for example in examples(name):
        told = []
        doctest.DocTestRunner(verbose=False).run(example, out=told.append)
        assert told == []
