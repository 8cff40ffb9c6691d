"""What people's folders hold: each file gives exactly the right frames, or a reason."""

import os
import shutil
import wave
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from encoded_videos import write_video, written_numbers
from numbered_frames import frame_numbers, numbered_frames
from whole_clips import read_clip

from mae.data.videos import kinds, read
from mae.data.videos.opencv_video import OpenCVVideo
from mae.data.videos.pyav_video import PyAVVideo
from mae.data.videos.read import read_video
from mae.errors import BadVideo

UNEVEN = np.cumsum(np.random.default_rng(0).integers(5, 200, 40)).tolist()  # ms
FAST_VP9 = {"deadline": "realtime", "cpu-used": "8"}
KINDS = {
    "h264 with B-frames": ("a.mp4", "libx264", {"options": {"g": "12", "bf": "3"}}),
    "h264 in MPEG-TS": ("a.ts", "libx264", {}),
    "h264, 10 bit": ("a.mp4", "libx264", {"pixels": "yuv420p10le"}),
    "h264, 4:4:4": ("a.mkv", "libx264", {"pixels": "yuv444p"}),
    "h264, odd size": ("a.mp4", "libx264", {"pixels": "yuv444p", "size": (47, 33)}),
    "h264, variable rate": ("a.mp4", "libx264", {"pace": UNEVEN}),
    "HEVC, 10 bit": (
        "a.mp4",
        "libx265",  # its encoder writes beyond its memory for pictures smaller than one of its 64×64 blocks
        {"size": (96, 64), "pixels": "yuv420p10le", "options": {"x265-params": "log-level=none"}},
    ),
    "VP9": ("a.webm", "libvpx-vp9", {"options": FAST_VP9}),
    "VP9, variable rate": ("a.webm", "libvpx-vp9", {"options": FAST_VP9, "pace": UNEVEN}),
    "MPEG-4 with B-frames": ("a.avi", "mpeg4", {"options": {"bf": "2", "qmin": "1", "qmax": "2"}}),
    "ProRes": ("a.mov", "prores_ks", {"pixels": "yuv422p10le"}),
    "an AVI named .mp4": ("a.mp4", "libx264", {"container": "avi"}),
    "a Matroska named .avi": ("a.avi", "libx264", {"container": "matroska"}),
    "blanks and other scripts": ("ü 映像 %03d [x]'.mp4", "libx264", {}),
}


class Counted:
    """Chooses some frames and the last one; remembers the count it was told last."""

    def __call__(self, count):
        self.count = count
        return np.array([0, 1, 7, 8, 8, 21, count - 1])


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_video(tmp_path, kind):
    name, codec, options = KINDS[kind]
    path = str(tmp_path / name)
    write_video(path, codec, **options)
    chooser = Counted()
    clip = read_clip(path, chooser)
    width, height = options.get("size", (48, 32))
    assert clip.shape == (7, height, width, 3)
    assert written_numbers(clip) == [0, 1, 7, 8, 8, 21, 39]
    assert chooser.count == 40
    assert written_numbers(read_clip(path, lambda count: np.array([33]))) == [33], "a single late frame"
    assert written_numbers(read_video(path, [0, 8, 39], decoder="opencv")) == [0, 8, 39]


def test_a_program_stream_without_a_table_of_contents(tmp_path):
    """Its claim is guessed from its bit rate; whatever it is, frames are exact."""
    path = str(tmp_path / "a.mpg")
    write_video(path, "mpeg2video", pace=25, options={"qmin": "1", "qmax": "2"})
    chooser = Counted()
    assert written_numbers(read_clip(path, chooser)) == [0, 1, 7, 8, 8, 21, chooser.count - 1]
    assert 22 <= chooser.count <= 40


def packed_bitstream(source, target):
    """What DivX 5 made of B-frames: a chunk holds the frame before it as well, and the next chunk says "nothing"."""
    start = b"\0\0\1\xb6"
    with av.open(source) as file, av.open(target, "w") as output:
        stream = output.add_stream_from_template(file.streams.video[0])
        coded = [bytes(packet) for packet in file.demux(video=0) if packet.size]
        is_b = [content[content.index(start) + 4] >> 6 == 2 for content in coded]
        assert sum(is_b) > 10
        chunks = []
        for content, b in zip(coded, is_b, strict=True):
            if b:
                chunks[-1] += content
                chunks.append(start + b"\x40\x00\x7f")
            else:
                chunks.append(content)
        header, _, rest = chunks[0].partition(start)
        chunks[0] = header + b"\0\0\1\xb2DivX503b1393p" + start + rest
        for number, chunk in enumerate(chunks):
            packet = av.Packet(chunk)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 10), number == 0
            packet.pts = packet.dts = number
            output.mux(packet)


def test_packed_b_frames(tmp_path):
    source, path = str(tmp_path / "source.avi"), str(tmp_path / "a.avi")
    write_video(source, "mpeg4", options={"bf": "1", "g": "12", "sc_threshold": "1000000000", "qmin": "1", "qmax": "2"})
    packed_bitstream(source, path)
    chooser = Counted()
    assert written_numbers(read_clip(path, chooser)) == [0, 1, 7, 8, 8, 21, 39]
    assert written_numbers(read_clip(path, lambda count: np.arange(count))) == list(range(40))


def test_names_that_look_like_protocols(tmp_path, monkeypatch):
    write_video(str(tmp_path / "a.mp4"), "libx264", count=5)
    monkeypatch.chdir(tmp_path)
    os.rename("a.mp4", "take 1: the end.mp4")
    for video in (OpenCVVideo("take 1: the end.mp4"), PyAVVideo("take 1: the end.mp4")):
        assert written_numbers(video.frames(np.array([1, 4]))) == [1, 4]
        video.close()


class Pipe:
    """A file that cannot seek."""

    def __init__(self, path):
        self._file = open(path, "wb")  # noqa: SIM115

    def write(self, content):
        return self._file.write(content)

    def close(self):
        self._file.close()


def test_webm_muxed_live(tmp_path):
    path = str(tmp_path / "live.webm")
    pipe = Pipe(path)
    write_video(pipe, "libvpx-vp9", options=FAST_VP9, container="webm")
    pipe.close()
    assert cv2.VideoCapture(path).get(cv2.CAP_PROP_FRAME_COUNT) < 0, "that it claims nothing sensible is the point"
    chooser = Counted()
    for _ in range(2):
        assert written_numbers(read_clip(path, chooser)) == [0, 1, 7, 8, 8, 21, 39]
        assert chooser.count == 40


@pytest.fixture
def av1(tmp_path):
    path = str(tmp_path / "a.mp4")
    write_video(path, "libsvtav1", size=(64, 64), options={"preset": "10", "svtav1-params": "lp=1"})
    return path


def test_av1(av1):
    chooser = Counted()
    for _ in range(2):
        assert written_numbers(read_clip(av1, chooser)) == [0, 1, 7, 8, 8, 21, 39]
        assert chooser.count == 40


def reason_of(path):
    with pytest.raises(BadVideo) as caught:
        read_clip(str(path), Counted())
    reason = str(caught.value)
    assert "\n" not in reason
    return reason


def test_sound_without_pictures(tmp_path):
    path = tmp_path / "song.mp4"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    assert "no video stream" in reason_of(path)
    with av.open(str(tmp_path / "b.mp4"), "w") as output:
        stream = output.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        sound.rate = 8000
        output.mux(stream.encode(sound))
        output.mux(stream.encode())
    assert "no video stream" in reason_of(tmp_path / "b.mp4")


def test_cut_files_give_the_frames_before_the_cut(tmp_path):
    """An MP4 has its table of contents at the end; a Matroska or a transport stream is readable up to the cut."""
    readable = []
    for name in ("a.mp4", "a.mkv", "a.ts", "a.avi"):
        path = str(tmp_path / name)
        write_video(path, "libx264", options={"g": "8"})
        length = os.path.getsize(path)
        for part in (0.999, 0.7, 0.3, 0.02):
            cut = str(tmp_path / f"{part} {name}")
            shutil.copyfile(path, cut)
            os.truncate(cut, int(part * length))
            counts = []
            try:
                clip = read_clip(cut, lambda count, counts=counts: counts.append(count) or np.arange(count))
            except BadVideo:
                continue
            assert written_numbers(clip) == list(range(counts[-1]))
            readable.append((name, part))
    assert {("a.mkv", 0.7), ("a.ts", 0.7), ("a.ts", 0.3), ("a.avi", 0.999)} <= set(readable)
    assert ("a.mp4", 0.7) not in readable


def test_damaged_bytes_do_not_raise_anything_else(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(str(path), "libx264", count=20, options={"g": "5"})
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(40):
        damaged = bytearray(content)
        for position in rng.integers(len(content), size=8):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            outcomes.add(read_clip(str(path), lambda count: np.array([0, count - 1])).dtype)
        except BadVideo:
            outcomes.add(BadVideo)
    assert outcomes == {np.dtype(np.uint8), BadVideo}


@pytest.mark.parametrize("kind", ["file", "zip", "directory"])
def test_what_vanishes_before_it_is_opened(tmp_path, make_video, monkeypatch, kind):
    if kind == "directory":
        path = tmp_path / "frames"
        path.mkdir()
        (path / "1.jpg").write_bytes(b"x")
    else:
        path = tmp_path / "a.mp4"
        path.write_bytes(b"PK\x03\x04" * 20 if kind == "zip" else b"x" * 80)
    is_packed = kinds.is_packed

    def remove():
        shutil.rmtree(path) if kind == "directory" else os.unlink(path)

    if kind == "zip":
        monkeypatch.setattr(kinds, "is_packed", lambda start: (is_packed(start), remove())[0])
    else:
        file_key = read.file_key
        monkeypatch.setattr(read, "file_key", lambda path: (file_key(path), remove())[0])
        if kind == "directory":
            monkeypatch.setattr(os.path, "isdir", lambda path: True)
    assert "No such file" in reason_of(path)


def test_a_file_replaced_or_cut_during_reading(tmp_path):
    first, second = str(tmp_path / "a.mkv"), str(tmp_path / "b.mkv")
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), np.uint8)
    writer = cv2.VideoWriter(second, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), 10, (64, 64))
    for frame in noise:
        writer.write(frame)
    writer.release()
    write_video(first, "libx264")

    def replace(count):
        os.replace(shutil.copy(second, str(tmp_path / "c.mkv")), first)
        return np.array([0, count // 2, count - 1])

    assert written_numbers(read_clip(first, replace)) == [0, 20, 39], "the file that was opened"

    def cut(count):
        if os.path.getsize(second) > 200_000:
            os.truncate(second, 200_000)
        return np.array([0, count // 4, count - 1])

    counts = []
    clip = read_clip(second, lambda count: counts.append(count) or cut(count))
    assert counts[0] == 40
    assert 8 <= counts[1] < 40
    np.testing.assert_array_equal(clip, noise[[0, counts[1] // 4, counts[1] - 1], ..., ::-1])


def test_a_directory_that_may_not_be_listed(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)  # the superuser may list everything
    assert reason_of(tmp_path) == "permission denied"


def test_the_reason_is_told_in_one_line(tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("not\na\nvideo\n" * 20)
    assert reason_of(path).startswith("not a video that PyAV can open: ")


def test_lossless_files_named_alike_are_told_apart_by_content(make_video, tmp_path):
    """The extension plays no part."""
    path = make_video("a.avi", numbered_frames(12))
    os.rename(path, tmp_path / "a.zip")
    assert frame_numbers(read_clip(str(tmp_path / "a.zip"), lambda count: np.arange(0, count, 5))) == [0, 5, 10]
