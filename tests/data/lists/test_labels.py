import pytest

from mae.data.lists.labels import numbered_labels
from mae.data.lists.lines import Line
from mae.errors import ConfigError


def lines(*labels):
    return [Line(number, f"{number}.mp4", label, None, False) for number, label in enumerate(labels, start=1)]


def test_numbers_are_what_they_are():
    assert numbered_labels(lines(3, 0), None, "") == ((3, 0), None, False)
    assert numbered_labels(lines(1, 0), ("x", "y"), "") == ((1, 0), ("x", "y"), False)
    assert numbered_labels(lines(None, None), ("x",), "") == (None, ("x",), False)


def test_names_are_numbered_in_their_alphabet_or_as_a_file_says():
    assert numbered_labels(lines("walk", "run", "walk"), None, "") == ((1, 0, 1), ("run", "walk"), True)
    given = numbered_labels(lines("walk", "run"), ("walk", "jump", "run"), "")
    assert given == ((0, 2), ("walk", "jump", "run"), True)


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ((1, None), None, r"^line 2: '2.mp4' has no label but line 1 has one, 1; give every line"),
        ((None, "run"), None, r"^line 1: '1.mp4' has no label but line 2 has one, 'run'"),
        (
            (1, "run"),
            None,
            r"^line 2: the label of '2.mp4' is 'run', but that of line 1 is 1; expected numbers or names",
        ),
        ((0, -1), None, r"^line 2: label -1 of '2.mp4' is negative"),
        ((0, 20231231), None, r"^line 2: label 20231231 of '2.mp4' is no class"),
        ((0, 2), ("x", "y"), r"^line 2: label 2 of '2.mp4' has no name: classes.txt has 2, for labels 0 to 1"),
        (
            ("run", "jmup"),
            ("run", "jump"),
            r"^line 2: classes.txt: the class 'jmup' does not exist; did you mean 'jump'",
        ),
    ],
)
def test_mistakes_in_labels(labels, names, message):
    with pytest.raises(ConfigError, match=message):
        numbered_labels(lines(*labels), names, "classes.txt")
