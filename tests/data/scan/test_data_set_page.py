"""What a scan tells of a data set as a whole: what is there twice, in other lists, and the page of it."""

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from list_files import message_of, write_list
from numbered_frames import numbered_frames

from mae.data.lists.index import index_csv, index_folder
from mae.data.scan.__main__ import main, parse, scan
from mae.data.scan.duplicates import Duplicates, Leak, find_duplicates
from mae.data.scan.page import class_sizes, length_bars, page_content, remarks
from mae.data.videos.scan_report import ScanReport

NOTHING = Duplicates((), (), ())
GOOD = ScanReport(decoder="PyAV", codec="h264", width=8, height=6, rate=25.0, claimed=10, frames=10)


@pytest.fixture(autouse=True)
def cache_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def listed(tmp_path):
    """Builds the index of a list whose lines are given; its files hold what `contents` says, or else their name."""

    def build(lines, name="list.csv", contents=None):
        path = write_list(tmp_path, "\n".join(["path,label,start,end", *lines]), name)
        for line in lines:
            video = tmp_path / line.split(",")[0]
            if not video.exists():
                video.write_text((contents or {}).get(video.name, video.name))
        return index_csv(path, tmp_path)

    return build


def paths(root, *names):
    return tuple(str(root / name) for name in names)


def test_files_of_the_same_content_are_found_whatever_they_are_called(tmp_path, listed):
    index = listed(["a.avi,0,,", "b.avi,0,,", "c.avi,1,,", "d.avi,1,,"], contents={"a.avi": "same", "d.avi": "same"})
    assert find_duplicates(index, {}) == Duplicates((), (paths(tmp_path, "a.avi", "d.avi"),), ())


def test_directories_of_frames_are_compared_picture_by_picture(tmp_path):
    for name, contents in {"x": "ab", "y": "ab", "z": "ba", "w": "abc"}.items():
        (tmp_path / "videos" / name).mkdir(parents=True)
        for number, content in enumerate(contents):
            (tmp_path / "videos" / name / f"{number}.jpg").write_text(content)
    index = index_folder(tmp_path / "videos")
    assert find_duplicates(index, {}).same_content == (paths(tmp_path / "videos", "x", "y"),)


def test_a_line_that_repeats_another_is_found_and_another_part_of_a_video_is_none(tmp_path, listed):
    index = listed(["a.avi,0,0,1", "a.avi,0,1,2", "a.avi,0,0,1", "b.avi,0,,", "b.avi,1,,"])
    assert find_duplicates(index, {}).repeated == paths(tmp_path, "a.avi", "b.avi")


def test_leaks_are_the_same_file_the_same_content_or_parts_that_overlap(tmp_path, listed):
    train = listed(["a.avi,0,0,5", "b.avi,0,0,5", "c.avi,0,,", "d.avi,0,,"], contents={"c.avi": "same"})
    other = listed(["a.avi,0,5,9", "b.avi,0,4,9", "copy.avi,0,,"], "val.csv", {"copy.avi": "same"})
    b, c, copy = paths(tmp_path, "b.avi", "c.avi", "copy.avi")
    found = find_duplicates(train, {"val.csv": other})
    assert found == Duplicates((), (), (Leak(b, "val.csv", b), Leak(c, "val.csv", copy)))
    assert [str(leak) for leak in found.leaks] == [
        f"{b}: val.csv has it",
        f"{c}: val.csv has the same content as {copy}",
    ]


def test_what_cannot_be_read_is_like_nothing(tmp_path, listed):
    index = listed(["a.avi,0,,", "b.avi,0,,"], contents={"a.avi": "same", "b.avi": "same"})
    (tmp_path / "b.avi").unlink()
    assert find_duplicates(index, {}) == NOTHING


def test_remarks_name_what_may_spoil_a_training(listed):
    lines = [f"v{number}.avi,{label},," for number, label in enumerate([0] * 20 + [2])]
    index = replace(listed([*lines, "v0.avi,2,,"]), class_names=("run", "jump", "fall"))
    reports = dict.fromkeys(index.paths, GOOD) | {index.paths[3]: ScanReport(reason="no frame decodes")}
    duplicates = Duplicates((index.paths[1],), (index.paths[4:7],), (Leak(index.paths[0], "val.csv", index.paths[0]),))
    assert remarks(index, reports, duplicates) == [
        "1 videos are in val.csv, too: what is tested on them was seen in training",
        f"{index.paths[0]} is listed under several labels",
        "1 of 21 videos are broken",
        "2 videos are copies of others",
        "1 lines repeat an earlier one",
        "no video has the classes jump",
        "classes of fewer than 10 videos: fall",
        "the largest class has 10 times the videos of the smallest",
    ]
    assert [(bar.name, bar.count, bar.percent) for bar in class_sizes(index)] == [("run", 20, 100), ("fall", 2, 10)]
    unlabelled = replace(index, labels=None)
    assert class_sizes(unlabelled) == []
    assert remarks(unlabelled, dict.fromkeys(index.paths, GOOD), NOTHING) == []


def test_lengths_are_counted_in_steps_of_the_same_width():
    bars = length_bars([0.0, 1.0, 15.5, 16.0])
    assert len(bars) == 16
    assert [(bar.name, bar.count, bar.percent) for bar in bars if bar.count] == [
        ("0 to 1 s", 1, 50),
        ("1 to 2 s", 1, 50),
        ("15 to 16 s", 2, 100),
    ]
    assert [(bar.name, bar.count) for bar in length_bars([2.5, 2.5])] == [("2.5 s", 2)]


class _Page(HTMLParser):
    """The headings of a page, and whatever it would fetch."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.fetched, self._in_heading = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._in_heading = tag in ("h2", "h3")
        self.fetched += [value for name, value in attributes if name == "src" and not value.startswith("data:image/")]

    def handle_data(self, data):
        if self._in_heading and data.strip():
            self.headings.append(data.strip())
        self._in_heading = False


def test_the_command_writes_the_page_and_tells_leaks(tmp_path, make_video, capsys):
    make_video("videos/run/a.avi", numbered_frames(4))
    make_video("videos/run/<b>.avi", numbered_frames(6))
    make_video("videos/jump/c.avi", numbered_frames(5))
    shutil.copy(tmp_path / "videos" / "jump" / "c.avi", tmp_path / "videos" / "jump" / "copy.avi")
    (tmp_path / "videos" / "jump" / "zzz.mp4").write_text("no video\n" * 50)
    write_list(tmp_path, "path,label\nvideos/run/a.avi,run\nvideos/jump/c.avi,jump\nvideos/jump/zzz.mp4,jump\n")
    write_list(tmp_path, "path,label\nvideos/run/<b>.avi,run\nvideos/jump/copy.avi,jump\n", "val.csv")
    page, val = tmp_path / "page.html", tmp_path / "val.csv"

    assert main([str(tmp_path / "list.csv"), f"report={page}", f"against=[{val}]"]) == 3
    told = capsys.readouterr().out
    assert re.search(r"duplicates +0 copies of other videos, 0 lines that repeat another\n", told)
    assert re.search(rf"in {re.escape(str(val))}, too +1 videos\n", told)
    assert str(page) in told
    text = page.read_text(encoding="utf-8")
    shown = _Page(text)
    assert not shown.fetched
    assert text.count('src="data:image/jpeg;base64,') == 2
    assert [heading for heading in shown.headings if heading in ("Classes", "In other lists, too", "Broken")] == [
        "Classes",
        "In other lists, too",
        "Broken",
    ]
    assert f"{tmp_path}/videos/jump/c.avi: {val} has the same content as {tmp_path}/videos/jump/copy.avi" in text

    # Of the folder, without labels told twice: the copy, and a name that looks like a tag.
    scan(parse([str(tmp_path / "videos"), f"report={page}", f"output={tmp_path}"]))
    text = page.read_text(encoding="utf-8")
    assert "The same content" in text
    assert "/&lt;b&gt;.avi" in text
    assert "<b>.avi" not in text


def test_sections_are_those_that_have_something_to_tell(listed):
    index = listed([f"v{number}.avi,0,," for number in range(12)])
    broken = {path: ScanReport(reason="no frame decodes") for path in index.paths}
    content = page_content("list.csv", index, broken, NOTHING)
    assert [section["id"] for section in content["sections"]] == ["remarks", "rows", "class_sizes", "broken"]


def test_mistakes_are_told_before_anything_is_decoded(tmp_path, make_video, monkeypatch):
    make_video("videos/a.avi", numbered_frames(4))
    videos = str(tmp_path / "videos")
    missing = tmp_path / "none" / "page.html"
    assert message_of(scan, parse([videos, f"report={missing}", f"output={tmp_path}"])).endswith(
        "report= names another folder"
    )
    assert message_of(scan, parse([videos, f"against=[{tmp_path / 'val.csv'}]", f"output={tmp_path}"])).startswith(
        f"against={tmp_path / 'val.csv'} does not exist"
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert message_of(scan, parse([videos, f"report={tmp_path / 'p.html'}", f"output={tmp_path}"])).startswith(
        "a report needs jinja2: "
    )
