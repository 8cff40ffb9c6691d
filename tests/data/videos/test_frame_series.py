import pytest

from mae.data.videos.frame_series import (
    describe,
    how_to_choose,
    in_order,
    is_picture,
    matching,
    missing_numbers,
    series_of,
    split_pattern,
)


def numbered(pattern, numbers):
    return [pattern.format(number) for number in numbers]


def test_names_that_differ_in_numbers_only_are_one_series():
    names = ["flow_x_1.jpg", "img_00001.jpg", "img_00002.JPG", "Img_3.jpg", "flow_x_2.jpg", "thumb.jpg", "img_1.png"]
    assert series_of(names) == {
        "img_*.jpg": ["img_00001.jpg", "img_00002.JPG", "Img_3.jpg"],
        "flow_x_*.jpg": ["flow_x_1.jpg", "flow_x_2.jpg"],
        "img_*.png": ["img_1.png"],
        "thumb.jpg": ["thumb.jpg"],
    }
    assert list(series_of(names)) == ["img_*.jpg", "flow_x_*.jpg", "img_*.png", "thumb.jpg"], "the longest first"
    assert list(series_of(["2026-01-31_23-59-59.png", "2026-02-01_00-00-00.png"])) == ["*-*-*_*-*-*.png"]


def test_series_are_told_with_their_sizes():
    series = series_of([*numbered("img_{}.jpg", range(58)), *numbered("m{}.png", range(57)), "a.png", "b.png", "c.png"])
    assert (
        describe(series)
        == "img_*.jpg (58 pictures), m*.png (57 pictures), a.png (1 picture), b.png (1 picture) and 1 more"
    )
    assert how_to_choose(series, "data.frames=") == (
        "which of them is the video? data.frames=img_*.jpg says so for all, and a path in a list may end in /img_*.jpg"
    )
    assert how_to_choose(series, None) == "which of them is the video? a path in a list may end in /img_*.jpg"


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("img_*", ["img_1.jpg", "IMG_2.png"]),
        ("img_*.jpg", ["img_1.jpg"]),
        ("*", ["img_1.jpg", "IMG_2.png", "img[1].jpg", "a.png"]),
        ("img[1]*", ["img[1].jpg"]),
        ("*.PNG", ["IMG_2.png", "a.png"]),
        ("none", []),
    ],
)
def test_what_a_pattern_stands_for(pattern, matched):
    assert matching(["img_1.jpg", "IMG_2.png", "img[1].jpg", "a.png"], pattern) == matched


def test_a_pattern_is_the_last_part_of_a_path(tmp_path):
    (tmp_path / "a*.mp4").touch()
    assert split_pattern(f"{tmp_path}/img_*") == (str(tmp_path), "img_*")
    assert split_pattern(f"{tmp_path}/a*.mp4") == (f"{tmp_path}/a*.mp4", None), "a file may be called so"
    assert split_pattern("x*/img.jpg") == ("x*/img.jpg", None)


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        (range(1, 59), 0),
        ([7], 0),
        ([1, 2, 3, 6, 7, 10], 4),  # 4, 5, 8, 9
        ([1, 2, 4], 1),
        (range(0, 100, 5), 0),
        ([0, 5, 10, 20, 25], 1),  # 15
        ([0, 5, 10, 12, 17], 0),
        ([1, 10, 100, 1000], 0),  # no step is that of most
        ([3, 1, 2, 2, 10**20], 10**20 - 4),
    ],
)
def test_numbers_that_a_series_leaves_out(numbers, missing):
    assert missing_numbers(numbered("cam2_{:05d}.jpg", numbers)) == missing
    assert missing_numbers(numbered("{}.png", reversed(list(numbers)))) == missing


def test_times_and_cameras_have_no_gaps():
    assert missing_numbers(["12-00-58.jpg", "12-00-59.jpg", "12-01-00.jpg"]) == 0
    assert missing_numbers(["c1_1.jpg", "c1_2.jpg", "c2_1.jpg", "c2_9.jpg"]) == 0


def test_natural_order():
    names = ["frame10.png", "frame2.png", "a1b10.png", "a1b2.png"]
    assert in_order(names) == ["a1b2.png", "a1b10.png", "frame2.png", "frame10.png"]


def test_pictures_by_their_endings():
    assert [is_picture(name) for name in ("a.JPG", "a.webp", "a.tif", "a.jpg.txt", "jpg")] == [True, True, *[False] * 3]
