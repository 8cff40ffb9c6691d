"""Lines of lists without a header; the plainest are in test_text_list.py."""

import pytest

from mae.data.lists.lines import parse_line
from mae.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "path", "label", "segment"),
    [
        ("a.mp4,3,0,2.5", "a.mp4", 3, (0, 2.5)),
        ("a.mp4 3 .5 2.", "a.mp4", 3, (0.5, 2)),
        ("a.WEBM\t3 ,  1e1, 1.2E+1", "a.WEBM", 3, (10, 12)),
        ("a.mp4,3,,", "a.mp4", 3, None),
        ("a.mp4;3;0;1", "a.mp4", 3, (0, 1)),
        ("my video, part 1.mp4 7 0 1", "my video, part 1.mp4", 7, (0, 1)),
        ("x.mp4 part 2.mp4,3,0,1", "x.mp4 part 2.mp4", 3, (0, 1)),
        ("packed/a.zip 3 0 1", "packed/a.zip", 3, (0, 1)),
        ('"no extension",3,0,1', "no extension", 3, (0, 1)),
        ('"""a"", b",3,0,1', '"a", b', 3, (0, 1)),
        ('"a, b.mp4" 3 0 1', "a, b.mp4", 3, (0, 1)),
        ('"a.mp4","3","0","2.5"', "a.mp4", 3, (0, 2.5)),
        ('"a.mp4","3","",""', "a.mp4", 3, None),
        # Three numbers behind what is no video file belong to the path, but for the last.
        ("clip 1 2 3", "clip 1 2", 3, None),
        ("frames/000123 1 58", "frames/000123 1", 58, None),
        ("a.mp4 0 -1", "a.mp4 0", -1, None),
    ],
)
def test_forms_of_a_line(text, path, label, segment):
    line = parse_line(1, text)
    assert (line.path, line.label, line.segment) == (path, label, segment)


@pytest.mark.parametrize(
    ("text", "path", "label"),
    [
        ("a.mp4,running", "a.mp4", "running"),
        ("a.mp4 running", "a.mp4", "running"),
        ("a.mp4\tplaying the guitar", "a.mp4", "playing the guitar"),
        ("my video, part 1.MP4;Playing guitar", "my video, part 1.MP4", "Playing guitar"),
        ("x.ts and y.mp4,run 2", "x.ts and y.mp4,run", 2),
        ("x/a.avi,3D", "x/a.avi", "3D"),
        ('"a","1"', "a", 1),
        ('"a","1.0"', "a", 1),
        ('"frames/7","say ""hi"", loudly"', "frames/7", 'say "hi", loudly'),
        ('a.mp4, "running, fast"', "a.mp4", "running, fast"),
        ("a.mp4,1.0", "a.mp4", 1),
        ("frames/7 12.", "frames/7", 12),
        ("a.mp4,20231231.0", "a.mp4", 20231231),
    ],
)
def test_forms_of_a_label(text, path, label):
    line = parse_line(1, text)
    assert (line.path, line.label, line.has_columns) == (path, label, False)


@pytest.mark.parametrize(
    "text", ["my video, part 1.mp4", "x.mp4 part 2.mp4", "clip,running", "a.mp4,x/running", '"a" and "b".mp4', "v1.2"]
)
def test_what_is_no_label(text):
    line = parse_line(1, text)
    assert (line.path, line.label) == (text, None)


def test_names_behind_directories_where_they_are_meant():
    line = parse_line(1, "frames/clip 7,running fast", names_directories=True)
    assert (line.path, line.label) == ("frames/clip 7", "running fast")
    assert parse_line(1, "my video, part 1.mp4", names_directories=True).label is None
    assert parse_line(1, "clip 7,3", names_directories=True).label == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4,3,2,2", "line 7: start 2 and end 2 of 'a.mp4' are no segment; expected 0 <= start < end"),
        ("a.mp4,3,-1,2", "start -1 and end 2"),
        ("a.mp4,3,0,1e999", "end 1e999"),
        ("a.mp4,1,2", "line 7: 'a.mp4,1,2' has numbers that are neither"),
        ("a.mp4 0.5 2.5", "a header says what they are, as path,start,end or path,num_frames,label"),
        ("a.mp4 0.5 1 2", "numbers that are neither"),
        ("a.mp4,running,0.5", "line 7: 'a.mp4,running,0.5' has fields that are neither `path,label` nor"),
        ("a.mp4,0.5", "line 7: label 0.5 of 'a.mp4' is neither the number of a class nor the name of one"),
        ("a.mp4,nan", "line 7: label nan of 'a.mp4'"),
        ('"a.mp4",3,1,', "'a.mp4' has a start or an end only"),
        ('"",3', "line 7 has no path"),
    ],
)
def test_mistakes_in_a_line(text, message):
    with pytest.raises(ConfigError) as error:
        parse_line(7, text)
    assert message in str(error.value)
