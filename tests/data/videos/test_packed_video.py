import io
import json
import os
import struct
import zipfile
import zlib

import cv2
import numpy as np
import pytest
from whole_clips import read_clip

from mae.data.videos.kinds import first_bytes
from mae.data.videos.packed_video import PackedVideo, is_packed, member_name
from mae.errors import BadVideo

COUNT = 7


@pytest.fixture(scope="module")
def pictures():
    """JPEGs of noise and the pixels that OpenCV reads from them, RGB."""
    rng = np.random.default_rng(0)
    coded = [cv2.imencode(".jpg", rng.integers(0, 255, (16, 24, 3), np.uint8))[1] for _ in range(COUNT)]
    return [jpeg.tobytes() for jpeg in coded], [cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1] for jpeg in coded]


def manifest(**changes):
    return {"format": "mae-video frames", "version": 2, "count": COUNT, "frames_per_second": 12.5, **changes}


def zip_of(path, members, compression=zipfile.ZIP_STORED, extra=b"", comment=b""):
    """Written by Python's own zip writer, in the given order."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.comment = comment
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.extra = compression, extra
            archive.writestr(info, content)
    return str(path)


@pytest.fixture
def members(pictures):
    return [(member_name(i), jpeg) for i, jpeg in enumerate(pictures[0])] + [("video.json", json.dumps(manifest()))]


def check_frames(path, pictures):
    video = PackedVideo(path)
    assert video.claimed_count == COUNT
    assert video.frames_per_second == 12.5
    for number, frame in zip([0, 3, 6], video.frames(np.array([0, 3, 6])), strict=True):
        np.testing.assert_array_equal(frame, pictures[1][number])
    video.close()


def reason_of(path):
    with pytest.raises(BadVideo) as caught:
        read_clip(str(path), lambda count: np.arange(count))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_frames(tmp_path, members, pictures, monkeypatch):
    path = zip_of(tmp_path / "a.zip", members)
    monkeypatch.setattr(zipfile, "ZipFile", None)  # its directory is read at once
    check_frames(path, pictures)


@pytest.mark.parametrize("change", ["extra field", "comment", "order", "duplicate"])
def test_zips_that_other_tools_have_rewritten(tmp_path, members, pictures, change):
    options = {}
    if change == "extra field":
        options["extra"] = b"UT\x05\x00\x03\x00\x00\x00\x00"
    elif change == "comment":
        options["comment"] = b"made again"
    elif change == "order":
        members = members[::-1]
    else:
        with pytest.warns(UserWarning, match="Duplicate name"):
            path = zip_of(tmp_path / "a.zip", [members[2], *members[:2], *members[2:]])
    path = zip_of(tmp_path / "a.zip", members, **options) if change != "duplicate" else path
    check_frames(path, pictures)


def test_the_content_counts_and_not_the_name(tmp_path, members, pictures):
    path = zip_of(tmp_path / "a.mp4", members)
    assert is_packed(first_bytes(path))
    clip = read_clip(path, lambda count: np.arange(count))
    np.testing.assert_array_equal(clip, np.stack(pictures[1]))


def test_a_compressed_zip_is_refused(tmp_path, members):
    path = zip_of(tmp_path / "a.zip", members, compression=zipfile.ZIP_DEFLATED)
    assert reason_of(path) == "000000.jpg in the zip is compressed; make it without (zip -0)"


def test_foreign_zips(tmp_path, members):
    document = [("[Content_Types].xml", "<Types/>"), ("word/document.xml", "<w:document/>")]
    assert "mae.data.pack has not written" in reason_of(zip_of(tmp_path / "a.docx", document))
    climbing = [("../../etc/passwd", b"x"), *members]
    assert "the zip holds ../../etc/passwd" in reason_of(zip_of(tmp_path / "b.zip", climbing))
    assert "the zip holds 000007.jpg" in reason_of(zip_of(tmp_path / "gap.zip", [*members[:3], *members[4:-1],
        ("000007.jpg", b"x"), members[-1]]))  # fmt: skip
    assert "zip" in reason_of(zip_of(tmp_path / "nothing.zip", [("a", b"")]))
    (tmp_path / "only.zip").write_bytes(b"PK\x03\x04" + bytes(200))
    assert "damaged or foreign zip" in reason_of(tmp_path / "only.zip")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (manifest(count=COUNT + 1), "holds 7 frames, video.json says 8"),
        (manifest(count=COUNT - 1), "holds 7 frames, video.json says 6"),
        (manifest(version=3), "a later version"),
        (manifest(version=1), "packed by an earlier version, whose decoder got some videos wrong: pack it again"),
        (manifest(version="x"), "damaged or foreign"),
        (manifest(format="frames"), "another program"),
        (manifest(frames_per_second=0), "0 frames per second"),
        (manifest(frames_per_second="fast"), "fast frames per second"),
        (manifest(frames_per_second=float("nan")), "nan frames per second"),
        ({"format": "mae-video frames"}, "damaged or foreign"),
        ([], "damaged or foreign"),
    ],
)
def test_manifests_that_do_not_fit(tmp_path, members, content, reason):
    assert reason in reason_of(zip_of(tmp_path / "a.zip", [*members[:-1], ("video.json", json.dumps(content))]))


def test_no_rate_is_fine(tmp_path, members):
    about = json.dumps(manifest(frames_per_second=None))
    video = PackedVideo(zip_of(tmp_path / "a.zip", [*members[:-1], ("video.json", about)]))
    assert video.frames_per_second is None
    video.close()


def test_a_manifest_without_frames(tmp_path):
    assert "holds 0 frames" in reason_of(zip_of(tmp_path / "a.zip", [("video.json", json.dumps(manifest(count=0)))]))


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_members_that_are_no_pictures(tmp_path, members, content):
    path = zip_of(tmp_path / "a.zip", [*members[:2], ("000002.jpg", content), *members[3:]])
    assert reason_of(path) == "000002.jpg in the zip is no JPEG"


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_damaged_byte_never_gives_wrong_frames(tmp_path, members, pictures, flip):
    """Wherever it is: in a header, a picture, the manifest, the directory or the end."""
    path = zip_of(tmp_path / "a.zip", members)
    with open(path, "rb") as file:
        whole = file.read()
    header_places = [i for i in range(len(whole)) if whole[i : i + 2] == b"PK"]
    # Every byte of all headers and of the end, and some of the pictures.
    indices = {p + i for p in header_places for i in range(58)} | set(range(0, len(whole), 37))
    indices = sorted((indices | set(range(len(whole) - 200, len(whole)))) & set(range(len(whole))))
    expected = np.stack(pictures[1])
    outcomes = {"right": 0, "bad": 0}
    with open(path, "r+b", buffering=0) as file:
        for position in indices:
            file.seek(position)
            file.write(bytes([whole[position] ^ flip]))
            try:
                np.testing.assert_array_equal(read_clip(path, lambda count: np.arange(count)), expected)
                outcomes["right"] += 1
            except BadVideo:
                outcomes["bad"] += 1
            file.seek(position)
            file.write(whole[position : position + 1])
    assert outcomes["bad"] > len(indices) // 3
    assert outcomes["right"] > 20, "times and attributes play no part"


def test_cut_zips_are_bad_videos(tmp_path, members):
    path = zip_of(tmp_path / "a.zip", members)
    for length in range(os.path.getsize(path) - 1, 3, -23):
        os.truncate(path, length)
        assert reason_of(path)


def test_a_zip_that_is_cut_during_reading(tmp_path, members):
    path = zip_of(tmp_path / "a.zip", members)
    video = PackedVideo(path)
    os.truncate(path, os.path.getsize(path) // 2)
    with pytest.raises(BadVideo, match=r"00000\d.jpg in the zip is damaged"):
        list(video.frames(np.arange(COUNT)))
    video.close()


def test_a_drive_that_fails(tmp_path, members, monkeypatch):
    video = PackedVideo(zip_of(tmp_path / "a.zip", members))

    def fail(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fail)
        with pytest.raises(BadVideo, match=r"000001.jpg in the zip cannot be read: Input/output error"):
            list(video.frames(np.array([1])))
    video.close()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fail)
        with pytest.raises(BadVideo, match="Input/output error"):
            PackedVideo(str(tmp_path / "a.zip"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are listed in Linux' /proc")
def test_refused_zips_are_closed(tmp_path, members):
    path = zip_of(tmp_path / "a.zip", members[:-1])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(BadVideo):
            PackedVideo(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_members_beyond_2_gib(tmp_path, members, pictures, monkeypatch):
    """Python's writer keeps the places of these in an extra field (zip64); the file has a hole, so it is small."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, content) in enumerate(members):
            if number == 4:
                archive.start_dir += 1 << 31  # where the next member goes
            archive.writestr(zipfile.ZipInfo(name), content)
    assert path.stat().st_size > 1 << 31
    with zipfile.ZipFile(path) as archive:
        assert [info.header_offset > 1 << 31 for info in archive.infolist()] == [False] * 4 + [True] * 4
    monkeypatch.setattr(zipfile, "ZipFile", None)  # its directory is read at once
    check_frames(str(path), pictures)
    with path.open("r+b") as file:
        file.seek(-150, os.SEEK_END)  # in the last entry of the directory
        entry = file.read(60)
        file.seek(-150 + entry.index(b"video.json") + 10, os.SEEK_END)
        file.write(b"\2")  # another kind of extra field
    monkeypatch.undo()
    assert reason_of(path) == "video.json in the zip is damaged"


def test_more_members_than_the_first_zip_format_allows(tmp_path, members, pictures, monkeypatch):
    """65,535 members are counted in another place (zip64)."""
    count = 66_000
    path, short = str(tmp_path / "a.zip"), zip_of(tmp_path / "short.zip", members)
    entries = [(member_name(i).encode(), b"") for i in range(count)]
    entries[0] = entries[0][0], pictures[0][0]
    entries[-1] = entries[-1][0], pictures[0][1]
    entries.append((b"video.json", json.dumps(manifest(count=count)).encode()))
    content, directory = io.BytesIO(), io.BytesIO()
    for name, data in entries:  # zipfile's own writer would take seconds
        about = struct.pack("<5H3L2H", 20, 0, 0, 0, 33, zlib.crc32(data), len(data), len(data), 10, 0)
        offset = content.tell()
        content.write(b"PK\x03\x04" + about + name + data)
        directory.write(b"PK\x01\x02" + bytes([20, 0]) + about + bytes(10) + struct.pack("<L", offset) + name)
    position, size = content.tell(), directory.tell()
    end64 = np.array([len(entries), len(entries), size, position], "<u8").tobytes()
    with open(path, "wb") as file:
        file.write(content.getvalue() + directory.getvalue())
        file.write(b"PK\x06\x06" + (44).to_bytes(8, "little") + bytes([45, 0, 45, 0]) + bytes(8) + end64)
        file.write(b"PK\x06\x07" + bytes(4) + (position + size).to_bytes(8, "little") + (1).to_bytes(4, "little"))
        file.write(b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, size, position, 0))
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == count + 1
    monkeypatch.setattr(zipfile, "ZipFile", None)  # it would take half a second for every clip
    clip = read_clip(path, lambda told: np.array([0, told - 1]))
    np.testing.assert_array_equal(clip, np.stack(pictures[1][:2]))
    check_frames(short, pictures)  # after a long one
