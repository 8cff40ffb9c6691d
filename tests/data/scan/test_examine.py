import os

import cv2
import numpy as np
import pytest
from encoded_videos import write_video
from numbered_frames import numbered_frames

from mae.data.scan import examine as module
from mae.data.scan.examine import Stopped, examine
from mae.data.videos.scan_report import ScanReport

COUNT = 90
UNEVEN = [30 * i + i * i for i in range(COUNT)]  # ms


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """h264 with key frames 0, 30 and 60 whose frames differ, in several containers and at an uneven rate."""
    av = pytest.importorskip("av")
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


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_constant_rate_file_seeks_exactly(moving, name):
    report = examine(moving[name])
    assert report == ScanReport("", "OpenCV", "h264", 64, 48, 0, 25.0, COUNT, COUNT, (0, 30, 60))
    assert report.seeks_exactly
    assert not report.is_broken


@pytest.mark.parametrize("happen_to_be_exact", [False, True])
def test_an_uneven_rate_is_never_sought_in(moving, monkeypatch, happen_to_be_exact):
    class Exact:
        """Seeks by walking there, and tells even times after it: no seek that is tried is wrong."""

        def __init__(self, path):
            self.path, self.capture, self.sought = path, module_open(path), None

        def set(self, prop, value):
            self.capture.release()
            self.capture, self.sought = module_open(self.path), value - 1
            return all(self.capture.grab() for _ in range(value))

        def grab(self):
            self.sought = None if self.sought is None else self.sought + 1
            return self.capture.grab()

        def get(self, prop):
            if prop != cv2.CAP_PROP_POS_MSEC or self.sought is None:
                return self.capture.get(prop)
            return 1000 * self.sought / self.capture.get(cv2.CAP_PROP_FPS)

        def __getattr__(self, name):
            return getattr(self.capture, name)

    module_open = module.open_capture
    if happen_to_be_exact:
        monkeypatch.setattr(module, "open_capture", Exact)
    report = examine(moving["uneven.mp4"])
    assert report.frames == COUNT
    assert not report.seeks_exactly


def test_seeks_that_hit_other_frames_are_found_out(moving, monkeypatch):
    class Astray:
        """One frame beside, with the time of the right one."""

        def __init__(self, path):
            self.capture, self.error = module_open(path), 0

        def set(self, prop, value):
            self.error = int(prop == cv2.CAP_PROP_POS_FRAMES and value < COUNT - 8)
            return self.capture.set(prop, value + self.error)

        def get(self, prop):
            rate = self.capture.get(cv2.CAP_PROP_FPS)
            return self.capture.get(prop) - (1000 * self.error / rate if prop == cv2.CAP_PROP_POS_MSEC else 0)

        def __getattr__(self, name):
            return getattr(self.capture, name)

    module_open = module.open_capture
    monkeypatch.setattr(module, "open_capture", Astray)
    report = examine(moving["a.mp4"])
    assert report.frames == COUNT
    assert not report.seeks_exactly


def test_a_still_picture_proves_nothing(tmp_path):
    path = str(tmp_path / "still.mp4")
    writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for _ in range(COUNT):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    report = examine(path)
    assert report.frames == COUNT
    assert not report.seeks_exactly


def test_what_only_pyav_decodes(tmp_path):
    path = str(tmp_path / "a.mp4")
    write_video(path, "libsvtav1", count=7, size=(64, 48), options={"preset": "10", "svtav1-params": "lp=1"})
    report = examine(path)
    assert (report.reason, report.decoder, report.frames, report.width, report.height) == ("", "PyAV", 7, 64, 48)
    assert "av1" in report.codec or "dav1d" in report.codec


def test_a_wrong_claim(make_video):
    noise = np.random.default_rng(0).integers(0, 255, (40, 32, 48, 3), np.uint8)
    path = make_video("cut.avi", noise)
    os.truncate(path, os.path.getsize(path) // 2)
    report = examine(path)
    assert report.claimed == 40
    assert 10 < report.frames < 30
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
    assert examine(str(tmp_path / "text.mp4")).reason.startswith("not a video that OpenCV can open; PyAV cannot")
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
    report = ScanReport("", "OpenCV", "h264", 64, 48, None, None, None, 3, (0, 2))
    assert ScanReport.from_json(report.to_json()) == report
    for damaged in ("", "[]", "{}", '{"key_frames": [], "other": 1}'):
        with pytest.raises((ValueError, TypeError, KeyError)):
            ScanReport.from_json(damaged)
