import numpy as np
import pytest

from mae.monitoring.lettering import text_width
from mae.monitoring.sheets import View, draw_moving, draw_sheet, shown_frames


@pytest.fixture
def videos():
    return np.random.default_rng(0).random((2, 4, 8, 12, 3), np.float32)


def places(picture, frame, scale):
    """Upper left corners (y, x) at which the picture holds the frame, enlarged."""
    large = (frame * 255).round().astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
    height, width, _ = large.shape
    fits = picture[: -height + 1, : -width + 1]
    ends = picture[height - 1 :, width - 1 :]
    corners = np.all((fits == large[0, 0]) & (ends == large[-1, -1]), axis=-1)
    return [(y, x) for y, x in np.argwhere(corners) if np.array_equal(picture[y : y + height, x : x + width], large)]


@pytest.mark.parametrize(
    ("tubelets", "frames"),
    [(1, [0]), (3, [0, 2, 4]), (8, list(range(0, 16, 2))), (16, [0, 4, 8, 12, 18, 22, 26, 30])],
)
def test_shown_frames_begin_tubelets(tubelets, frames):
    assert shown_frames(tubelets, 2).tolist() == frames


def test_a_sheet_has_a_row_for_each_view_of_each_clip_and_a_column_for_each_frame(videos):
    views = [View(("first",), videos), View(("second", "from elsewhere"), 1 - videos)]
    sheet = draw_sheet(views, np.array([0, 2]), "title")
    found = [[places(sheet, view.videos[clip, frame], 8) for frame in (0, 2)] for clip in range(2) for view in views]
    assert all(len(place) == 1 for row in found for place in row)
    rows, columns = ([[place[0][axis] for place in row] for row in found] for axis in (0, 1))
    assert all(first == second for first, second in rows)
    assert sorted({first for first, _ in rows}) == [first for first, _ in rows]
    assert len({tuple(row) for row in columns}) == 1
    assert columns[0][0] < columns[0][1]
    assert not places(sheet, videos[0, 1], 8)


def test_every_line_of_a_label_is_written(videos):
    short = draw_sheet([View(("name",), videos)], np.array([0]), "")
    long = draw_sheet([View(("name", "of the original"), videos)], np.array([0]), "")
    ink = [(sheet[..., 0] < 200).sum() - (sheet[:, -120:, 0] < 200).sum() for sheet in (short, long)]
    assert ink[1] > ink[0] + 100


def test_a_picture_is_wide_enough_for_its_title(videos):
    title = "a title that is longer than two small frames and their labels are wide together"
    views = [View(("name",), videos)]
    for draw in (lambda text: draw_sheet(views, np.array([0]), text), lambda text: draw_moving([views], text)[0]):
        assert draw("").shape[1] < text_width(title) < draw(title).shape[1]


def test_a_moving_picture_plays_all_views_at_once(videos):
    views = [[View(("a",), videos), View(("b",), 1 - videos)], [View(("c",), videos**2), View(("d",), videos**3)]]
    movie = draw_moving(views, "title")
    assert movie.dtype == np.uint8
    assert movie.shape[0] == 4
    for frame in (0, 3):
        found = [[places(movie[frame], view.videos[0, frame], 16) for view in column] for column in views]
        assert all(len(place) == 1 for column in found for place in column)
        (a,), (b,) = found[0]
        (c,), _ = found[1]
        assert a[1] == b[1] < c[1]
        assert a[0] == c[0] < b[0]
