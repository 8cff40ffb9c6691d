import numpy as np
import pytest

from mae.errors import ConfigError
from mae.picture_size import height_and_width, picture_size, shown_size, size_setting


def test_one_number_or_both():
    for square in (96, [96, 96], (96, 96), np.int64(96)):
        assert picture_size("image_size", square) == 96
    assert picture_size("image_size", [96, 160]) == (96, 160)
    assert height_and_width(96) == (96, 96)
    assert height_and_width((96, 160)) == (96, 160)
    assert (shown_size(96), shown_size((96, 160))) == ("96×96", "96×160")
    assert (size_setting(96), size_setting((96, 160))) == ("96", "[96,160]")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (65537, "65537"),
        (True, "True"),
        (2.5, "2.5"),
        ("96", "'96'"),
        ([], r"\[\]"),
        ([96], r"\[96\]"),
        ([96, 0], r"\[96,0\]"),
        ([96, 160, 3], r"\[96,160,3\]"),
        ([96, "x"], r"\[96,'x'\]"),
        (None, "None"),
    ],
)
def test_no_size(value, told):
    with pytest.raises(
        ConfigError, match=rf"^image_size={told} must be a whole number from 1 to 65536, or two of them"
    ):
        picture_size("image_size", value)
