"""Lines with start and end; those without are in test_text_list.py."""

import pytest

from mae.data.lists.lines import header_columns, parse_line
from mae.errors import ConfigError

ALL = ("label", "start", "end")


@pytest.mark.parametrize(
    ("text", "columns", "path", "label", "segment"),
    [
        ("a.mp4,3,0,2.5", None, "a.mp4", 3, (0, 2.5)),
        ("a.mp4 3 .5 2.", None, "a.mp4", 3, (0.5, 2)),
        ("a.WEBM\t3 ,  1e1, 1.2E+1", None, "a.WEBM", 3, (10, 12)),
        ("a.mp4,3,,", None, "a.mp4", 3, None),
        ("my video, part 1.mp4 7 0 1", None, "my video, part 1.mp4", 7, (0, 1)),
        ("x.mp4 part 2.mp4,3,0,1", None, "x.mp4 part 2.mp4", 3, (0, 1)),
        ("packed/a.zip 3 0 1", None, "packed/a.zip", 3, (0, 1)),
        ('"no extension",3,0,1', None, "no extension", 3, (0, 1)),
        ('"""a"", b",3,0,1', None, '"a", b', 3, (0, 1)),
        # Three numbers behind what is no video file belong to the path, but for the last.
        ("clip 1 2 3", None, "clip 1 2", 3, None),
        ("frames/000123 1 58", None, "frames/000123 1", 58, None),
        ("a.mp4 0 -1", None, "a.mp4 0", -1, None),
        ("clip 7,3,0.5,2", ALL, "clip 7", 3, (0.5, 2)),
        ("clip 7 3 0.5 2", ALL, "clip 7", 3, (0.5, 2)),
        ("a.mp4,3,,", ALL, "a.mp4", 3, None),
        ("a.mp4,,1,2", ALL, "a.mp4", None, (1, 2)),
        ("a 1, b.mp4,1,2", ("start", "end"), "a 1, b.mp4", None, (1, 2)),
        ("a.mp4,,", ("start", "end"), "a.mp4", None, None),
        ('"a, b.mp4" 1 2 5', ("start", "end", "label"), "a, b.mp4", 5, (1, 2)),
    ],
)
def test_forms_of_a_line(text, columns, path, label, segment):
    line = parse_line(1, text, columns)
    assert (line.path, line.label, line.segment) == (path, label, segment)


@pytest.mark.parametrize(
    ("text", "columns", "line"),
    [
        ("a.mp4,4", ("stride",), ("a.mp4", None, None, 4)),
        ("a 1.mp4 2", ("stride",), ("a 1.mp4", None, None, 2)),
        ("a.mp4,", ("stride",), ("a.mp4", None, None, None)),
        ("a.mp4,3,2", ("label", "stride"), ("a.mp4", 3, None, 2)),
        ("a.mp4,2,3", ("stride", "label"), ("a.mp4", 3, None, 2)),
        ("a.mp4,3,0.5,2,4", (*ALL, "stride"), ("a.mp4", 3, (0.5, 2), 4)),
        ("a.mp4,3,,,4", (*ALL, "stride"), ("a.mp4", 3, None, 4)),
        ("a.mp4,3,0,1,", (*ALL, "stride"), ("a.mp4", 3, (0, 1), None)),
    ],
)
def test_lines_with_a_stride(text, columns, line):
    read = parse_line(1, text, columns)
    assert (read.path, read.label, read.segment, read.stride) == line


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a.mp4,0", ("stride",), "line 7: stride 0 of 'a.mp4' is none: expected a whole number of frames from 1 on"),
        ("a.mp4,-2", ("stride",), "line 7: stride -2 of 'a.mp4' is none"),
        ("a.mp4,3,2.5", ("label", "stride"), "line 7: stride 2.5 of 'a.mp4' is none"),
        ("a.mp4,two", ("stride",), "line 7: 'a.mp4,two' has not the columns path,stride of the header"),
        ("a.mp4", ("stride",), "write an empty field for none: path,"),
        ("a.mp4,3,2,2", None, "line 7: start 2 and end 2 of 'a.mp4' are no segment; expected 0 <= start < end"),
        ("a.mp4,3,-1,2", None, "start -1 and end 2"),
        ("a.mp4,3,0,1e999", None, "end 1e999"),
        ("a.mp4,1,2", None, "line 7: 'a.mp4,1,2' has numbers that are neither"),
        ("a.mp4 0.5 2.5", None, "need the header path,start,end"),
        ("a.mp4 0.5 1 2", None, "numbers that are neither"),
        ("a.mp4,3,1,", ALL, "'a.mp4' has a start or an end only"),
        ("a.mp4,3", ALL, "'a.mp4,3' has not the columns path,label,start,end of the header"),
        ("a.mp4,0,now", ("start", "end"), "write an empty field for none: path,,"),
        ('"",3', None, "has no path"),
    ],
)
def test_mistakes_in_a_line(text, columns, message):
    with pytest.raises(ConfigError) as error:
        parse_line(7, text, columns)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("path,label,start,end", ALL),
        ("Path Label START end", ALL),
        ('"video","start","end"', ("start", "end")),
        ("file, end, class, start", ("end", "label", "start")),
        ("path,stride", ("stride",)),
        ("video_path label stride", ("label", "stride")),
        ("path,class,start,end,Stride", (*ALL, "stride")),
        ("path,label", None),
        ("name of video", None),
    ],
)
def test_columns_of_a_header(text, columns):
    assert header_columns(text) == columns


@pytest.mark.parametrize(
    "text",
    [
        "path,label,split",
        "path,start",
        "path,start,stride",
        "path,stride,stride",
        "path,stride,label,split",
        "path,label,start,end,split",
        "path start end end",
        "path,start,start",
    ],
)
def test_headers_with_other_columns_are_refused(text):
    with pytest.raises(ConfigError, match=f"the header '{text}' has other columns"):
        header_columns(text)
