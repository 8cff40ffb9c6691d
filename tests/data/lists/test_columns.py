"""Lists with a header."""

import pytest

from mae.data.lists.columns import Header, lines_below, read_header
from mae.errors import ConfigError


def header(text, *files):
    return read_header(text, lambda name: name in files)


def lines(text):
    """The path, label, segment and stride of each line below the first."""
    first, *others = text.split("\n")
    return [(line.path, line.label, line.segment, line.stride) for line in lines_below(header(first), others, 2)]


@pytest.mark.parametrize(
    ("text", "delimiter", "kinds"),
    [
        ("path,label,start,end", ",", ("path", "label", "start", "end")),
        ("label,path", ",", ("label", "path")),
        ("Path Label START end", None, ("path", "label", "start", "end")),
        ('"video","start","end"', ",", ("path", "start", "end")),
        ("file, end, class, start", ",", ("path", "end", "label", "start")),
        ("File Name;Class", ";", ("path", "label")),
        ("video_path\tlabel\tcaption", "\t", ("path", "label", "")),
        ("path num_frames label", None, ("path", "", "label")),
        ("path,num_frames", ",", ("path", "")),
        (",path,label", ",", ("", "path", "label")),
        ("class_name,label,name,path", ",", ("", "label", "", "path")),
        ("path,class,start,end,Stride", ",", ("path", "label", "start", "end", "stride")),
        ("path,emotion", ",", ("path", "label")),
        ("footage,label", ",", ("path", "label")),
        ("path,valence,arousal", ",", ("path", "", "")),
        ("path", None, ("path",)),
    ],
)
def test_what_columns_are_by_their_names(text, delimiter, kinds):
    found = header(text)
    assert (found.delimiter, found.kinds) == (delimiter, kinds)


@pytest.mark.parametrize(
    "text",
    ["first", "my clip", "video of a cat", "a.mp4,label", "x/path,label", "clip,3", "a.mp4", "first,second", "7"],
)
def test_what_is_no_header(text):
    assert header(text) is None


def test_a_file_that_is_called_like_a_column_is_no_header():
    assert header("video", "video") is None
    assert header("video,running", "video") is None
    assert header("video,label", "video") is not None, "two names of columns are no accident"
    assert header("path label", "path label") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,youtube_id,time_start", "the header 'label,youtube_id,time_start' names no column of paths"),
        ("path,start", "has a start or an end only"),
        ("path,label,end,stride", "has a start or an end only"),
        ("path,stride,Stride", "has two columns 'stride'"),
    ],
)
def test_headers_that_make_no_sense(text, message):
    with pytest.raises(ConfigError, match=message):
        header(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label,path\n3,a.mp4\nrunning,b.mp4", [("a.mp4", 3, None, None), ("b.mp4", "running", None, None)]),
        ('path,label\n"a, ""b"".mp4","1"', [('a, "b".mp4', 1, None, None)]),
        ("path,label\nmy video,  part 1.mp4, 80", [("my video,  part 1.mp4", 80, None, None)]),
        ("label,path\n1,my video, part 1.mp4", [("my video, part 1.mp4", 1, None, None)]),
        ('path, label\na.mp4, "playing guitar, badly"', [("a.mp4", "playing guitar, badly", None, None)]),
        ("path;label\na, b.mp4;1.0", [("a, b.mp4", 1, None, None)]),
        ("path\tlabel\na b.mp4\trunning fast", [("a b.mp4", "running fast", None, None)]),
        ("path num_frames label\nframes/a b 58 3", [("frames/a b", 3, None, None)]),
        ("label path\n3 my video.mp4", [("my video.mp4", 3, None, None)]),
        ("path label\nmy video.mp4 playing guitar", [("my video.mp4", "playing guitar", None, None)]),
        ("path,num_frames\na.mp4,58", [("a.mp4", None, None, None)]),
        ("path,label\na.mp4,3,0,1", [("a.mp4", 3, (0, 1), None)]),
        ("path,label\na.mp4,3,,", [("a.mp4", 3, None, None)]),
        ("path,label,fps\na.mp4,3,25,,,", [("a.mp4", 3, None, None)]),
        ("path,label\na.mp4 3", [("a.mp4", 3, None, None)]),
        ("path,label,start,end\na.mp4,,1,2", [("a.mp4", None, (1, 2), None)]),
        ("path,start,end\na 1, b.mp4,1,2", [("a 1, b.mp4", None, (1, 2), None)]),
        ('path start end label\n"a, b.mp4" 1 2 5', [("a, b.mp4", 5, (1, 2), None)]),
        ("path,stride\na.mp4,4\nb.mp4,", [("a.mp4", None, None, 4), ("b.mp4", None, None, None)]),
        ("stride,path,label\n2.0,a.mp4,3", [("a.mp4", 3, None, 2)]),
        (["# no", "path,label", ""][1] + '\n\n# "no\n  \na.mp4,3\n', [("a.mp4", 3, None, None)]),
    ],
)
def test_lines_below_a_header(text, expected):
    assert lines(text) == expected


def test_fields_with_line_breaks():
    text = 'path,caption,label\na.mp4,"one\n\ntwo, ""three""",3\n\nb.mp4,,4'
    first, *others = text.split("\n")
    found = lines_below(header(first), others, 2)
    assert [(line.path, line.label, list(line.numbers)) for line in found] == [
        ("a.mp4", 3, [2, 3, 4]),
        ("b.mp4", 4, [6]),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,stride\na.mp4,0", "line 2: stride 0 of 'a.mp4' is none: expected a whole number of frames from 1 on"),
        ("path,stride\na.mp4,-2", "line 2: stride -2 of 'a.mp4' is none"),
        ("path,stride\n\na.mp4,two", "line 3: stride two of 'a.mp4' is none"),
        ("path,label,stride\na.mp4,3,2.5", "line 2: stride 2.5 of 'a.mp4' is none"),
        (
            "path,stride\na.mp4",
            "'a.mp4' has not the columns path,stride of the header; write an empty field for none: p",
        ),
        ("path label end start\na.mp4 3", "'a.mp4 3' has not the columns path label end start of the header"),
        ("path,start,end\na.mp4,0,now", "line 2: end now of 'a.mp4' is no number of seconds"),
        ("path,label,start,end\na.mp4,3,1,", "'a.mp4' has a start or an end only"),
        ("path,label\na.mp4,1.5", "line 2: label 1.5 of 'a.mp4' is neither the number of a class nor the name of one"),
        ('path,label\nb.mp4,1\n"a.mp4,1\n', "line 3: '\"a.mp4,1' is no line of a csv file (unexpected end of data)"),
        ("path,label\n,1", "line 2 has no path"),
        ("path,split\na.mp4,train\nb.mp4,val", "line 3: the column 'split' says 'val' where earlier lines say 'train'"),
    ],
)
def test_mistakes_below_a_header(text, message):
    with pytest.raises(ConfigError) as error:
        lines(text)
    assert message in str(error.value)


def test_columns_that_are_not_used():
    assert header("path,label,caption,Valence").unused == ("caption", "Valence")
    assert header(",path").unused == ()
    assert lines("path,split\na.mp4,train\nb.mp4,train")[1] == ("b.mp4", None, None, None)


def test_a_header_by_hand():
    assert header("Label, Video Path") == Header(",", ("label", "path"), ("Label", "Video Path"))
