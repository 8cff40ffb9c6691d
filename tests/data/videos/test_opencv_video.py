import os

import cv2
import numpy as np
import pytest
from encoded_videos import write_video
from numbered_frames import frame_numbers, numbered_frames

from mae.data.videos import opencv_video
from mae.data.videos.opencv_video import OpenCVVideo
from mae.data.videos.video import EndOfVideo
from mae.errors import BadVideo

COUNT = 400
KEYS = tuple(range(0, COUNT, 30))


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Constant-rate h264 with B-frames and a key frame every 30; a bright bar moves one row per frame."""
    path = str(tmp_path_factory.mktemp("h264") / "a.mp4")
    av = pytest.importorskip("av")
    with av.open(path, "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"g": "30", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(COUNT):
            image = np.full((48, 64, 3), number // 2, np.uint8)
            image[number % 48] = 255 - number // 4
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode())
    return path


class Spy:
    """Counts what is asked of a capture; one cannot inherit from OpenCV's."""

    made = ()

    def __init__(self, *arguments):
        self.capture = REAL_CAPTURE(*arguments)
        self.grabs, self.seeks = 0, []
        Spy.made = (*Spy.made, self)

    def grab(self):
        self.grabs += 1
        return self.capture.grab()

    def set(self, prop, value):
        if prop == cv2.CAP_PROP_POS_FRAMES:
            self.seeks.append(value)
        return self.capture.set(prop, value)

    def __getattr__(self, name):
        return getattr(self.capture, name)


REAL_CAPTURE = cv2.VideoCapture


@pytest.fixture
def captures(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Spy)
    monkeypatch.setattr(Spy, "made", ())
    return lambda: Spy.made


def read(path, wanted, key_frames=()):
    video = OpenCVVideo(path, key_frames)
    try:
        return [frame.copy() for frame in video.frames(np.asarray(wanted))]
    finally:
        video.close()


def test_seeking_gives_the_frames_that_walking_gives(moving):
    rng = np.random.default_rng(0)
    every = read(moving, range(COUNT))
    assert len({frame.tobytes() for frame in every}) > 0.95 * COUNT
    for size in (1, 2, 4, 16):
        for _ in range(6):
            wanted = np.sort(rng.choice(COUNT, size, replace=False))
            for number, frame in zip(wanted, read(moving, wanted, KEYS), strict=True):
                np.testing.assert_array_equal(frame, every[number])
    for first in (23, 24, 29, 30, 31, 59, 60, 61, COUNT - 1):
        np.testing.assert_array_equal(read(moving, [first], KEYS)[0], every[first])


def test_far_frames_are_sought_and_near_ones_walked_to(moving, captures):
    read(moving, [200, 204, 390], KEYS)
    read(moving, [10, 14, 120], KEYS)
    read(moving, [200, 204, 390])
    assert [capture.seeks for capture in captures()] == [[200, 390], [120], []]
    assert [capture.grabs for capture in captures()] == [6, 16, 391]


def test_the_end_after_a_seek_counts_all_frames(moving):
    for key_frames in ((), KEYS):
        with pytest.raises(EndOfVideo) as caught:
            read(moving, [300, COUNT + 3], key_frames)
        assert caught.value.decoded == COUNT


@pytest.mark.parametrize("error", [-31, -1, 1, 2])
def test_a_seek_that_leads_elsewhere_is_noticed(moving, monkeypatch, error):
    class Astray(Spy):
        def set(self, prop, value):
            return super().set(prop, value + error if prop == cv2.CAP_PROP_POS_FRAMES else value)

    expected = read(moving, [300, 380])
    monkeypatch.setattr(cv2, "VideoCapture", Astray)
    np.testing.assert_array_equal(read(moving, [300, 380], KEYS), expected)
    assert [len(capture.seeks) for capture in Spy.made[-2:]] == [1, 0], "once is enough"


def test_a_seek_that_fails_is_not_taken_for_the_end(moving, monkeypatch):
    class Lost(Spy):
        def grab(self):
            return not self.seeks and super().grab()

    expected = read(moving, [300, 310])
    monkeypatch.setattr(cv2, "VideoCapture", Lost)
    np.testing.assert_array_equal(read(moving, [300, 310], KEYS), expected)


def test_an_end_that_comes_too_early_after_a_seek_is_not_taken_for_it(moving, monkeypatch):
    class Short(Spy):
        def grab(self):
            return not (self.seeks and self.grabs >= 5) and super().grab()

    expected = read(moving, [300, 310])
    monkeypatch.setattr(cv2, "VideoCapture", Short)
    np.testing.assert_array_equal(read(moving, [300, 310], KEYS), expected)


def test_a_frame_behind_the_end_that_was_sought_gives_the_count(moving):
    with pytest.raises(EndOfVideo) as caught:
        read(moving, [10**6], KEYS)
    assert caught.value.decoded == COUNT


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


def test_a_seek_must_spare_enough(moving, captures, monkeypatch):
    """Frame 46 is the first for which OpenCV goes to the key frame 30."""
    read(moving, [45], KEYS)
    read(moving, [46], KEYS)
    read(moving, [10, 46], KEYS)
    monkeypatch.setattr(opencv_video, "SEEK_GAIN", 20)
    read(moving, [10, 46], KEYS)
    assert [capture.seeks for capture in captures()] == [[], [46], [46], []]
