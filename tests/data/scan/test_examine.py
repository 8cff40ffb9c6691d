import os

import av
import cv2
import numpy as np
import pytest
from encoded_videos import write_cut_video, write_video
from numbered_frames import numbered_frames

from mae.data.scan import seeking
from mae.data.scan.examine import Stopped, examine
from mae.data.videos.pyav_video import KeyFrame, PyAVVideo
from mae.data.videos.scan_report import ScanReport

COUNT = 90
UNEVEN = [30 * i + i * i for i in range(COUNT)]  # ms


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """h264 with key frames 0, 30 and 60 whose frames differ, in several containers and at an uneven rate."""
    root = tmp_path_factory.mktemp("examined")

    def write(name, times=None):
        from fractions import Fraction

        with av.open(str(root / name), "w") as output:
            stream = output.add_stream("libx264", rate=25, options={"g": "30", "bf": "0", "sc_threshold": "0"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            if times is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            for number in range(COUNT):
                image = np.full((48, 64, 3), 2 * number, np.uint8)
                image[:, number % 60 : number % 60 + 4] = 255
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts = number if times is None else times[number]
                frame.time_base = Fraction(1, 25) if times is None else Fraction(1, 1000)
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
        return str(root / name)

    return {name: write(name) for name in ("a.mp4", "a.mkv")} | {"uneven.mp4": write("uneven.mp4", UNEVEN)}


@pytest.mark.parametrize(("name", "times"), [("a.mp4", 512), ("a.mkv", 40)])
def test_a_constant_rate_file_seeks_exactly(moving, name, times):
    report = examine(moving[name])
    keys = tuple(KeyFrame(number, times * number) for number in (0, 30, 60))
    assert report == ScanReport(
        decoder="PyAV", codec="h264", width=64, height=48, orientation="upright", rate=25.0, has_variable_rate=False,
        color="? ? 8 bit", claimed=COUNT, frames=COUNT, key_frames=keys,
    )  # fmt: skip
    assert report.seeks_exactly
    assert not report.is_broken
    assert not report.is_damaged


def test_so_does_one_of_an_uneven_rate(moving):
    """Its time stamps tell the frames apart; OpenCV's seeks, which reckon with a rate, went astray."""
    report = examine(moving["uneven.mp4"])
    assert report.frames == COUNT
    assert report.has_variable_rate
    assert [key.number for key in report.key_frames] == [0, 30, 60]


def test_times_that_jump_prove_nothing(moving, tmp_path):
    path = tmp_path / "twice.ts"
    with av.open(moving["a.mp4"]) as source, av.open(str(tmp_path / "a.ts"), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    path.write_bytes(2 * (tmp_path / "a.ts").read_bytes())
    report = examine(str(path))
    assert report.frames == 2 * COUNT
    assert report.has_variable_rate is None
    assert not report.seeks_exactly


@pytest.mark.parametrize("wrong", ["frames", "walked"])
def test_seeks_that_hit_other_frames_are_found_out(moving, monkeypatch, wrong):
    class Astray(PyAVVideo):
        def _seek(self, key):
            if wrong == "walked":
                return self._walk_from_the_start()
            decoded, position, has_sought = super()._seek(key)
            next(decoded)  # one frame beside
            return decoded, position, has_sought

    monkeypatch.setattr(seeking, "PyAVVideo", Astray)
    report = examine(moving["a.mp4"])
    assert report.frames == COUNT
    assert not report.seeks_exactly


def test_what_is_seen_of_the_frames(tmp_path):
    path = str(tmp_path / "a.mkv")
    noise = np.random.default_rng(0).integers(30, 255, (9, 48, 64, 3), np.uint8)
    noise[2] = noise[3] = 0
    noise[5] = (200, 10, 10)
    noise[8] = noise[7]
    with av.open(path, "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for image in noise:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="bgr0")))
        output.mux(stream.encode())
    report = examine(path)
    assert (report.frames, report.black, report.constant, report.repeated) == (9, 2, 1, 2)
    assert report.color.startswith("RGB")


def test_a_still_picture_proves_nothing(tmp_path):
    path = str(tmp_path / "still.mp4")
    writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for _ in range(COUNT):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    report = examine(path)
    assert report.frames == COUNT
    assert not report.seeks_exactly


def test_av1(tmp_path):
    path = str(tmp_path / "a.mp4")
    write_video(path, "libsvtav1", count=7, size=(64, 48), options={"preset": "10", "svtav1-params": "lp=1"})
    report = examine(path)
    assert (report.reason, report.decoder, report.frames, report.width, report.height) == ("", "PyAV", 7, 64, 48)
    assert "av1" in report.codec or "dav1d" in report.codec


def test_a_wrong_claim(tmp_path):
    path = str(tmp_path / "cut.mp4")
    write_cut_video(path)
    report = examine(path)
    assert report.claimed == 40
    assert 10 < report.frames < 30
    assert report.is_damaged
    assert not report.is_broken


def test_directories_of_frames(tmp_path):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((6, 8, 3), np.uint8))
    report = examine(str(tmp_path))
    assert (report.decoder, report.frames, report.claimed, report.width, report.height) == ("frames", 3, 3, 8, 6)
    (tmp_path / "1.png").write_bytes(b"no picture")
    assert examine(str(tmp_path)).reason == "image 1.png does not decode"


def test_reasons(tmp_path, make_video):
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + bytes(99))
    assert examine(str(tmp_path / "absent.mp4")).reason == "missing"
    assert examine(str(tmp_path / "empty.mp4")).reason == "empty file"
    assert examine(str(tmp_path / "text.mp4")).reason.startswith("not a video that PyAV can open")
    assert "zip" in examine(str(tmp_path / "a.zip")).reason
    headless = make_video("a.avi", numbered_frames(8))
    with open(headless, "rb") as file:
        header = file.read().index(b"movi") + 4
    os.truncate(headless, header)
    assert examine(headless).is_broken


def test_it_can_be_stopped(moving):
    with pytest.raises(Stopped):
        examine(moving["a.mp4"], lambda: True)


def test_a_report_survives_its_json():
    report = ScanReport(
        decoder="PyAV", codec="h264", width=64, height=48, frames=3, key_frames=(KeyFrame(0, 5), KeyFrame(2, 7))
    )
    assert ScanReport.from_json(report.to_json()) == report
    for damaged in ("", "[]", "{}", '{"key_frames": [], "other": 1}'):
        with pytest.raises((ValueError, TypeError, KeyError)):
            ScanReport.from_json(damaged)
