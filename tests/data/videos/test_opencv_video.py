import os

import cv2
import numpy as np
import pytest
from encoded_videos import write_video
from numbered_frames import frame_numbers, numbered_frames

from mae.data.videos.opencv_video import OpenCVVideo
from mae.data.videos.read import read_video
from mae.data.videos.video import EndOfVideo
from mae.errors import BadVideo

REAL_CAPTURE = cv2.VideoCapture


class Spy:
    """A capture that something may be changed about; one cannot inherit from OpenCV's."""

    def __init__(self, *arguments):
        self.capture = REAL_CAPTURE(*arguments)

    def __getattr__(self, name):
        return getattr(self.capture, name)


def read(path, wanted):
    video = OpenCVVideo(path)
    try:
        return [frame.copy() for frame in video.frames(np.asarray(wanted))]
    finally:
        video.close()


def test_it_is_another_decoder_of_the_same_frames(tmp_path):
    path = str(tmp_path / "a.mp4")
    write_video(path, "libx264")
    np.testing.assert_allclose(read_video(path, decoder="opencv"), read_video(path), atol=2)


def test_red_is_red(make_video):
    red = np.zeros((2, 32, 48, 3), np.uint8)
    red[..., 0] = 250
    np.testing.assert_array_equal(read(make_video("a.avi", red), [0, 1]), red)


def test_the_end(make_video):
    with pytest.raises(EndOfVideo) as caught:
        read(make_video("a.avi", numbered_frames(12)), [3, 15])
    assert caught.value.decoded == 12


@pytest.mark.parametrize("claimed", [0, -2.8e17, 1e12, float("nan")])
def test_incredible_counts(make_video, claimed, monkeypatch):
    class Capture(Spy):
        def get(self, prop):
            return claimed if prop == cv2.CAP_PROP_FRAME_COUNT else self.capture.get(prop)

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    path = make_video("a.avi", numbered_frames(9))
    assert OpenCVVideo(path).claimed_count is None
    assert frame_numbers(read_video(path, decoder="opencv")) == list(range(9))


def test_the_memory_of_a_frame_is_used_again(make_video):
    """Sixteen allocations less for a clip: whoever keeps a frame copies it."""
    video = OpenCVVideo(make_video("a.avi", numbered_frames(30)))
    frames = video.frames(np.arange(0, 30, 3))
    first = next(frames)
    kept, address = first.copy(), first.ctypes.data
    for number, frame in enumerate(frames, start=1):
        assert frame.ctypes.data == address
        assert frame_numbers(frame[None]) == [3 * number]
    assert not np.array_equal(first, kept)
    video.close()
    assert frame_numbers(first[None]) == [27], "it outlives the capture"


def test_pictures_of_other_sizes_are_not_mixed_up(tmp_path):
    path = tmp_path / "a.mjpeg"
    pictures = [np.full((size, size + 7, 3), size, np.uint8) for size in (33, 90, 17, 33)]
    path.write_bytes(b"".join(cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures))
    video = OpenCVVideo(str(path))
    levels = [(frame.min(), frame.max()) for frame in video.frames(np.arange(4))]
    np.testing.assert_allclose(levels, [(33, 33), (90, 90), (17, 17), (33, 33)], atol=4)
    video.close()


def test_deep_colour_is_8_bit(tmp_path):
    path = str(tmp_path / "a.mkv")
    write_video(path, "ffv1", pixels="yuv444p16le", count=3)
    assert [frame.dtype for frame in read(path, [0, 2])] == [np.uint8] * 2


def test_what_is_not_8_bit_colour_is_refused(make_video, monkeypatch):
    class Grey(Spy):
        def retrieve(self, buffer):
            return True, np.zeros((4, 4), np.uint8)

    monkeypatch.setattr(cv2, "VideoCapture", Grey)
    with pytest.raises(BadVideo, match="frame 1 does not convert to 8-bit colour"):
        read(make_video("a.avi", numbered_frames(3)), [1])


def test_a_file_that_cannot_be_opened_leaves_nothing_open(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"nothing" * 50)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    for _ in range(5):
        with pytest.raises(BadVideo, match="not a video that OpenCV can open"):
            OpenCVVideo(str(path))
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before
