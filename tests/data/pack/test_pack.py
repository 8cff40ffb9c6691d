import csv
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from numbered_frames import numbered_frames
from patience import PATIENCE
from whole_clips import read_clip

from mae.data.lists.index import index_csv, index_folder
from mae.data.pack import write as write_module
from mae.data.pack.__main__ import PackConfig, main, pack, parse
from mae.data.pack.names import packed_names
from mae.data.pack.outcome import Outcome
from mae.data.pack.write import Packed, Pictures, packed_before, write_packed
from mae.data.videos.pyav_video import PyAVVideo
from mae.errors import BadVideo, ConfigError


def about(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(archive.namelist()[-1]))


def contents(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def videos(tmp_path, make_video):
    """Two classes, three videos, awkward names."""
    make_video("videos/wave, slow/a b.avi", numbered_frames(6))
    make_video("videos/wave, slow/ü,1 2.avi", numbered_frames(4))
    make_video("videos/Zähne/c#.avi", numbered_frames(5))
    return tmp_path / "videos"


def test_one_of_several_series_is_packed(tmp_path, out):
    for number in range(3):
        for kind in ("img", "flow_x"):
            path = tmp_path / "in" / "walk" / "clip" / f"{kind}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((16, 16, 3), 50 * number + 100 * (kind == "flow_x"), np.uint8))
    with pytest.raises(ConfigError, match=r"several series of pictures, .* frames=flow_x_\*.png says so for all"):
        pack(tmp_path / "in", out, PackConfig())
    pack(tmp_path / "in", out, PackConfig(frames="img_*"))
    index = index_csv(out / "list.csv", None)
    assert index.paths == (str(out / "walk" / "clip" / "img_+.zip"),)
    levels = read_clip(index.paths[0], np.arange).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(levels, [0, 50, 100], atol=2)
    assert pack(tmp_path / "in", out, PackConfig(frames="img_*")).kept == 1


def test_a_folder_with_other_files_says_so(videos, out, capsys):
    (videos / "notes.txt").write_text("x")
    assert main([str(videos), str(out)]) == 0
    assert "left out  1 file: 1 .txt (as notes.txt)" in capsys.readouterr().out


def test_every_frame_is_there_under_its_number(make_video, out):
    path = make_video("a.avi", numbered_frames(40))
    pack(Path(path), out, PackConfig())
    target = out / "a.avi.zip"
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        members = archive.infolist()
        pictures = [cv2.imdecode(np.frombuffer(archive.read(m), np.uint8), cv2.IMREAD_COLOR) for m in members[:-1]]
    assert [m.filename for m in members] == [*(f"{i:06d}.jpg" for i in range(40)), "video.json"]
    assert {m.compress_type for m in members} == {zipfile.ZIP_STORED}
    assert [round(picture.mean() / 3) for picture in pictures] == list(range(40))
    assert np.stack(pictures).shape == (40, 32, 48, 3)
    clip = read_clip(str(target), lambda count: np.array([0, 7, 7, count - 1]))
    assert np.rint(clip.mean((1, 2, 3)) / 3).tolist() == [0, 7, 7, 39]


def test_manifest_says_where_it_comes_from(make_video, out):
    path = Path(make_video("a.avi", numbered_frames(3)))
    pack(path, out, PackConfig(quality=80))
    assert about(out / "a.avi.zip") == {
        "format": "mae-video frames",
        "version": 2,
        "frames_per_second": 10.0,
        "count": 3,
        "width": 48,
        "height": 32,
        "short_side": 256,
        "quality": 80,
        "source": {
            "name": "a.avi",
            "bytes": path.stat().st_size,
            "modified_ns": path.stat().st_mtime_ns,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        },
    }


def test_colours_stay_and_red_is_red(make_video, out):
    frames = np.zeros((2, 32, 64, 3), np.uint8)
    frames[:, :, :32] = 220, 30, 10
    frames[:, :, 32:] = 20, 60, 200
    path = make_video("a.avi", frames)
    pack(Path(path), out, PackConfig())
    both = [read_clip(p, lambda count: np.arange(count)).astype(int) for p in (path, str(out / "a.avi.zip"))]
    inside = np.r_[0:24, 40:64]  # chroma of neighbouring blocks runs over the edge
    assert np.abs(both[0] - both[1])[:, :, inside].max() <= 4
    assert np.abs(both[1][:, :, :24] - (220, 30, 10)).max() <= 6


@pytest.mark.parametrize(
    ("height", "width", "kept"),
    [(50, 100, (16, 32)), (37, 53, (16, 23)), (100, 50, (32, 16)), (11, 31, (11, 31)), (16, 16, (16, 16))],
)
def test_short_side_is_at_most_what_is_asked(tmp_path, height, width, kept):
    (tmp_path / "frames").mkdir()  # video codecs may not take odd sizes
    cv2.imwrite(str(tmp_path / "frames" / "0.png"), numbered_frames(1, height, width)[0])
    write_packed(str(tmp_path / "frames"), tmp_path / "a.zip", Pictures(16, 90))
    assert (about(tmp_path / "a.zip")["height"], about(tmp_path / "a.zip")["width"]) == kept
    assert read_clip(str(tmp_path / "a.zip"), lambda count: np.arange(count)).shape[1:3] == kept


def test_small_pictures_are_area_averages(make_video, tmp_path):
    """A checkerboard of single pixels is even grey; every other interpolation leaves a pattern."""
    checkers = np.indices((64, 64)).sum(0)[None, :, :, None] % 2 * np.full((2, 1, 1, 3), 200, np.uint8)
    path = make_video("a.avi", checkers.astype(np.uint8))
    write_packed(path, tmp_path / "a.zip", Pictures(32, 95))
    assert np.abs(read_clip(str(tmp_path / "a.zip"), lambda count: np.arange(count)).astype(int) - 100).max() <= 3


def test_list_reads_back_with_labels_and_classes(videos, out):
    assert main([str(videos), str(out)]) == 0
    before, after = index_folder(videos), index_csv(out / "list.csv", None)
    assert [os.path.relpath(path, out) for path in after.paths] == [
        os.path.relpath(path, videos) + ".zip" for path in before.paths
    ]
    assert (after.labels, after.class_names) == (before.labels, before.class_names)
    assert all(os.path.isfile(path) for path in after.paths)
    folder = index_folder(out)  # the copy is a folder of classes, too
    assert (set(folder.paths), folder.class_names) == (set(after.paths), before.class_names)


def test_segments_order_and_repeats_stay(videos, out):
    listed = videos / "cut.csv"
    listed.write_text(
        "path,label,start,end,stride\n"
        '"Zähne/c#.avi",3,0.1,0.4,2\n"wave, slow/a b.avi",0,,,\n"Zähne/c#.avi",1,1e-1,0.25,4\n'
    )
    outcome = pack(listed, out, PackConfig())
    index = index_csv(out / "list.csv", None)
    assert [Path(path).name for path in index.paths] == ["c#.avi.zip", "a b.avi.zip", "c#.avi.zip"]
    assert index.labels == (3, 0, 1)
    assert index.segments == ((0.1, 0.4), None, (0.1, 0.25))
    assert index.strides == (2, None, 4)
    assert (outcome.videos, sum(p.frames for p in outcome.packed.values())) == (2, 11)


def test_root_says_where_listed_videos_are(videos, tmp_path, out):
    listed = tmp_path / "some.csv"
    listed.write_text('"Zähne/c#.avi" 0\n')
    assert main([str(listed), str(out), f"root={videos}"]) == 0
    assert (out / "Zähne" / "c#.avi.zip").is_file()


def test_second_run_keeps_and_redoes_only_what_changed(videos, out, make_video):
    pack(videos, out, PackConfig())
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.zip")}
    make_video("videos/Zähne/c#.avi", numbered_frames(7))
    (out / "wave, slow" / "a b.avi.zip").write_bytes(b"PK\x03\x04 half a file")
    outcome = pack(videos, out, PackConfig())
    assert (outcome.kept, outcome.new_frames, len(outcome.packed)) == (1, 7 + 6, 3)
    same = {path.name for path, modified in before.items() if path.stat().st_mtime_ns == modified}
    assert same == {"ü,1 2.avi.zip"}
    assert about(out / "Zähne" / "c#.avi.zip")["count"] == 7


@pytest.mark.parametrize("change", [{"quality": 50}, {"short_side": 20}])
def test_other_settings_pack_anew(make_video, out, change):
    path = Path(make_video("a.avi", numbered_frames(3)))
    pack(path, out, PackConfig())
    outcome = pack(path, out, PackConfig(**change))
    assert outcome.kept == 0
    assert about(out / "a.avi.zip")[next(iter(change))] == next(iter(change.values()))


def test_broken_videos_are_listed_and_the_rest_is_packed(videos, out, capsys):
    (videos / "Zähne" / "broken, really.mp4").write_bytes(b"no video")
    (videos / "Zähne" / "empty.mp4").touch()
    assert main([str(videos), str(out)]) == 3
    with (out / "broken.csv").open(newline="") as file:
        header, first, second = csv.reader(file)
    assert header == ["path", "reason"]
    assert first[0] == str(videos / "Zähne" / "broken, really.mp4")
    assert first[1].startswith("not a video that PyAV can open")
    assert second == [str(videos / "Zähne" / "empty.mp4"), "empty file"]
    index = index_csv(out / "list.csv", None)
    assert (len(index.paths), index.labels) == (3, (0, 1, 1))
    assert "3 packed" in capsys.readouterr().out
    for name in ("broken, really.mp4", "empty.mp4"):
        (videos / "Zähne" / name).unlink()
    assert main([str(videos), str(out)]) == 0
    assert not (out / "broken.csv").exists()


def test_nothing_but_broken_videos_leaves_no_list(tmp_path, out):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert main([str(tmp_path / "a.mp4"), str(out)]) == 3
    assert [path.name for path in out.iterdir()] == ["broken.csv"]


def test_video_that_changes_meanwhile_is_broken(make_video, tmp_path):
    path = make_video("a.avi", numbered_frames(3))

    def check():
        os.utime(path, ns=(0, 0))

    with pytest.raises(BadVideo, match="changed while"):
        write_packed(path, tmp_path / "a.zip", Pictures(16, 90), check)
    assert [file.name for file in tmp_path.iterdir()] == ["a.avi"]


def test_directory_of_frames_is_packed(tmp_path, out):
    folder = tmp_path / "videos" / "walk"
    folder.mkdir(parents=True)
    for number, frame in enumerate(numbered_frames(12)):
        cv2.imwrite(str(folder / f"{number}.png"), frame)
    pack(tmp_path / "videos", out, PackConfig())
    assert np.rint(read_clip(str(out / "walk.zip"), np.arange).mean((1, 2, 3)) / 3).tolist() == list(range(12))
    assert about(out / "walk.zip")["frames_per_second"] is None
    assert pack(tmp_path / "videos", out, PackConfig()).kept == 1
    cv2.imwrite(str(folder / "12.png"), frame)
    assert pack(tmp_path / "videos", out, PackConfig()).kept == 0


def test_frames_of_another_size_become_like_the_first(tmp_path):
    (tmp_path / "frames").mkdir()
    for number, (height, width) in enumerate([(20, 30), (60, 30), (10, 15)]):
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), np.full((height, width, 3), 80 * number, np.uint8))
    write_packed(str(tmp_path / "frames"), tmp_path / "a.zip", Pictures(16, 90))
    clip = read_clip(str(tmp_path / "a.zip"), np.arange)
    assert clip.shape == (3, 16, 24, 3)
    assert np.rint(clip.mean((1, 2, 3))).tolist() == [0, 80, 160]


@pytest.mark.parametrize(("claimed", "kept"), [(3, 3), (9, 5), (None, 5)])
def test_as_many_frames_as_training_would_see(make_video, tmp_path, monkeypatch, claimed, kept):
    monkeypatch.setattr(PyAVVideo, "claimed_count", claimed)
    path = make_video("a.avi", numbered_frames(5))
    assert write_packed(path, tmp_path / "a.zip", Pictures(16, 90)).frames == kept


def test_copies_of_an_earlier_version_are_packed_again(make_video, out, tmp_path):
    """They were decoded otherwise; nothing else tells them from new ones."""
    source = make_video("videos/a.avi", numbered_frames(3))
    pack(tmp_path / "videos", out, PackConfig())
    target = out / "a.avi.zip"
    new = contents(out)
    assert pack(tmp_path / "videos", out, PackConfig()).kept == 1
    with zipfile.ZipFile(target) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["video.json"] = members["video.json"].replace(b'"version": 2', b'"version": 1')
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert packed_before(source, target, Pictures(256, 90)) is None
    assert pack(tmp_path / "videos", out, PackConfig()).kept == 0
    assert contents(out) == new


def test_two_workers_write_what_one_writes(videos, tmp_path):
    for workers in (1, 2):
        pack(videos, tmp_path / str(workers), PackConfig(workers=workers))
    assert len(contents(tmp_path / "1")) == 5
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_leftovers_of_a_killed_run_go(videos, out):
    (out / "Zähne").mkdir(parents=True)
    leftovers = [
        *(out / "Zähne" / ".c#.avi.zip.4711.tmp.zip", out / ".list.csv.4711.tmp.csv"),
        out / ".broken.csv.4711.tmp",  # as earlier versions called it
    ]
    others = out / ".notes.tmp", out / ".notes.csv.4711.tmp.csv"
    for path in (*leftovers, *others):
        path.write_text("half")
    pack(videos, out, PackConfig())
    assert not any(path.exists() for path in leftovers)
    assert all(path.exists() for path in others)


# The command, interrupted in the middle of its second video.
INTERRUPTED = """
import os, signal, sys, time
from mae.cli.exit_status import exit_statuses
from mae.data.pack import __main__ as command, one

write_packed = one.write_packed

def interrupted(path, target, pictures, check):
    def wait():
        while True:
            check()
            time.sleep(0.01)

    if path.endswith("a.avi"):
        return write_packed(path, target, pictures, check)
    os.kill(os.getpid(), signal.SIGINT)
    return write_packed(path, target, pictures, wait)

one.write_packed = interrupted
with exit_statuses():
    sys.exit(command.main(sys.argv[1:]))
"""


def test_interrupted_run_leaves_whole_files_and_goes_on(tmp_path, make_video, out, interrupts):
    for name in "abc":
        make_video(f"videos/{name}.avi", numbered_frames(3))
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "videos"), str(out), "workers=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1] == "interrupted; what was saved before is complete"
    assert [path.name for path in out.iterdir()] == ["a.avi.zip"]
    assert zipfile.ZipFile(out / "a.avi.zip").testzip() is None
    outcome = pack(tmp_path / "videos", out, PackConfig())
    assert (outcome.kept, len(outcome.packed)) == (1, 3)


def test_full_disk_is_one_line(make_video, out, monkeypatch):
    @contextmanager
    def full(path):
        yield Path("/dev/full")

    monkeypatch.setattr(write_module, "replacing", full)
    path = make_video("a.avi", np.random.default_rng(0).integers(0, 255, (30, 64, 64, 3), np.uint8))
    with pytest.raises(ConfigError, match=r"cannot be written \(No space left on device\); make room and call again"):
        pack(Path(path), out, PackConfig())


def test_places_where_nothing_can_be_written(make_video, tmp_path):
    path = Path(make_video("a.avi", numbered_frames(2)))
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/packed")):
        with pytest.raises(ConfigError, match="cannot be written"):
            pack(path, place, PackConfig())


def test_output_must_not_mix_with_the_input(videos, tmp_path, make_video):
    for output in (videos, videos / "packed", tmp_path / "videos" / "." / "x"):
        with pytest.raises(ConfigError, match="give a folder elsewhere"):
            pack(videos, output, PackConfig())
    (tmp_path / "link").symlink_to(videos)
    with pytest.raises(ConfigError, match="give a folder elsewhere"):
        pack(videos, tmp_path / "link", PackConfig())
    listed = videos / "list.csv"
    listed.write_text('"Zähne/c#.avi"\n')
    with pytest.raises(ConfigError, match="in place of the input"):
        pack(listed, videos, PackConfig())
    assert listed.read_text() == '"Zähne/c#.avi"\n'
    make_video("a.avi", numbered_frames(2))
    (tmp_path / "a.avi.zip").write_bytes(b"a video of mine")
    (tmp_path / "both.csv").write_text("a.avi\na.avi.zip\n")
    with pytest.raises(ConfigError, match="would be replaced"):
        pack(tmp_path / "both.csv", tmp_path, PackConfig())


def test_list_of_another_input_is_not_replaced(videos, tmp_path, make_video, out):
    pack(videos, out, PackConfig())
    other = Path(make_video("other.avi", numbered_frames(2)))
    with pytest.raises(ConfigError, match=r"was made from .*videos, not from .*other\.avi"):
        pack(other, out, PackConfig())
    (out / "list.csv").write_text("mine.mp4 0\n")
    with pytest.raises(ConfigError, match="was made from something else"):
        pack(videos, out, PackConfig())
    assert (out / "list.csv").read_text() == "mine.mp4 0\n"


@pytest.mark.parametrize("end", [22, 60, 400, 2000])
def test_damaged_packed_videos_are_packed_anew(make_video, tmp_path, end):
    """Whatever the last bytes say, nothing but a decision comes of it."""
    path, target = make_video("a.avi", numbered_frames(12)), tmp_path / "a.zip"
    write_packed(path, target, Pictures(16, 90))
    good = target.read_bytes()
    for value in (0, 1, 99, 255):
        target.write_bytes(good[:-end] + bytes([value]) * end)
        assert packed_before(path, target, Pictures(16, 90)) is None
    target.write_bytes(good)
    assert packed_before(path, target, Pictures(16, 90)).frames == 12


def test_progress_says_how_far_how_fast_and_how_long():
    outcome = Outcome(10, {"a": Packed(100, 5, 9), "b": Packed(50, 5, 11), "c": Packed(1, 1, 1)}, 1, 150, {"d": "why"})
    assert outcome.progress(30.0) == "4 of 10 videos, 5 frames/s, 1 broken, 1m 00s left"
    assert "11 → 21 (1.91 times)" in outcome.table(Path("out"))


def test_only_one_process_packs_into_a_folder(videos, out):
    out.mkdir()
    folder = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process is packing"):
            pack(videos, out, PackConfig())
    finally:
        os.close(folder)


def test_names_are_distinct_and_stay_below_the_output():
    paths = [
        "/r/a.mp4",
        "/r/a.avi",
        "/r/c/a.mp4",
        "/r/a.mp4",
        "/s/a.mp4",
        "/r/../s/a.mp4",
        "/r/x\ny.mp4",
        "/r/" + 99 * "ü…",
    ]
    names = packed_names(paths, Path("/r"))
    assert list(names) == list(dict.fromkeys(paths))
    assert [names[path] for path in paths[:3]] == ["a.mp4.zip", "a.avi.zip", "c/a.mp4.zip"]
    assert len(set(names.values())) == len(names)
    for path in paths[4:]:
        assert names[path].startswith("elsewhere/")
        assert len(names[path].encode()) < 120
        assert "\n" not in names[path]


def test_videos_outside_the_root_are_packed(tmp_path, make_video, out):
    make_video("there/a.avi", numbered_frames(2))
    make_video("b/a.avi", numbered_frames(3))
    (tmp_path / "here").mkdir()
    listed = tmp_path / "here" / "list.csv"
    listed.write_text(f"../b/a.avi 1\n{tmp_path}/there/a.avi 0\n")
    pack(listed, out, PackConfig())
    index = index_csv(out / "list.csv", None)
    assert [about(path)["count"] for path in index.paths] == [3, 2]
    assert index.labels == (1, 0)
    assert {Path(path).parent for path in index.paths} == {out / "elsewhere"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["in"], r"output= is missing; .* \(source=, output= need not be typed\)"),
        (["in", "out", "quality=0"], r"quality=0 must lie in \[1, 100\]"),
        (["in", "out", "short_side=0"], "short_side=0 must lie in"),
        (["in", "out", "workers=-1"], "workers=-1 must be 0"),
        (["in", "out", "qualty=3"], "did you mean 'quality'"),
        (["in", "out", "90"], "not of the form key=value"),
    ],
)
def test_wrong_arguments(words, message):
    with pytest.raises(ConfigError, match=message):
        parse(words)


def test_input_that_is_none(tmp_path, make_video, out):
    for name in ("nothing.csv", "nothing.mp4", "nothing"):
        with pytest.raises(
            ConfigError, match=r"source=\S+ does not exist; give a list .*, a folder with videos, or one video"
        ):
            pack(tmp_path / name, out, PackConfig())
    path = Path(make_video("a.avi", numbered_frames(2)))
    with pytest.raises(ConfigError, match=r"root=x is for lists; source=\S+ is a video"):
        pack(path, out, PackConfig(root="x"))
    assert not out.exists()
