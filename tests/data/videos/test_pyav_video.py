import av
import numpy as np
import pytest
from encoded_videos import write_video, written_numbers

from mae.data.videos.opencv_video import OpenCVVideo
from mae.data.videos.pyav_video import PyAVVideo
from mae.data.videos.video import EndOfVideo
from mae.errors import BadVideo


def read(kind, path, wanted):
    video = kind(path)
    try:
        return [frame.copy() for frame in video.frames(np.asarray(wanted))]
    finally:
        video.close()


def test_claims(tmp_path):
    path = str(tmp_path / "a.mp4")
    write_video(path, "libx264", pace=25)
    video = PyAVVideo(path)
    assert (video.claimed_count, video.frames_per_second) == (40, 25.0)
    video.close()


def test_the_end(tmp_path):
    path = str(tmp_path / "a.mkv")
    write_video(path, "libx264")
    with pytest.raises(EndOfVideo) as caught:
        read(PyAVVideo, path, [3, 45])
    assert caught.value.decoded == 40


@pytest.mark.parametrize("turn", ["none", "clockwise", "half", "counterclockwise"])
def test_rotated_files_come_as_from_opencv(make_video, turn):
    frames = np.random.default_rng(0).integers(0, 255, (3, 4, 6, 3), np.uint8).repeat(16, axis=1).repeat(16, axis=2)
    path = make_video("a.mp4", frames, "mp4v")
    # The display matrix of the track header without its last column: cos, sin, -sin, cos as 16.16 fixed point.
    cosine, sine = {"none": (1, 0), "clockwise": (0, 1), "half": (-1, 0), "counterclockwise": (0, -1)}[turn]
    with open(path, "r+b") as file:
        content = file.read()
        file.seek(content.index(b"tkhd") + 44)
        for value in (cosine << 16, sine << 16, 0, -sine << 16, cosine << 16, 0, 0, 0, 1 << 30):
            file.write(value.to_bytes(4, "big", signed=True))
    expected = frames[0] if turn == "none" else np.rot90(frames[0], {"clockwise": -1, "half": 2}.get(turn, 1))
    by_opencv, by_pyav = (read(kind, path, [0, 2]) for kind in (OpenCVVideo, PyAVVideo))
    np.testing.assert_array_equal(by_opencv, by_pyav)
    assert by_pyav[0].shape == expected.shape
    error = np.abs(by_pyav[0][..., ::-1].astype(int) - expected)
    wrong = np.abs(by_pyav[0][::-1, ::-1, ::-1].astype(int) - expected)
    assert error.mean() < 0.5 * wrong.mean()


def test_damage_in_the_middle_is_the_end(tmp_path):
    """As far as it decodes: what follows may show anything."""
    path = tmp_path / "a.mkv"
    write_video(str(path), "libsvtav1", size=(64, 64), options={"preset": "10", "svtav1-params": "lp=1"})
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : -200] = b"\xff" * len(content[len(content) // 2 : -200])
    path.write_bytes(content)
    frames = []
    video = PyAVVideo(str(path))
    with pytest.raises(EndOfVideo) as caught:
        frames.extend(frame.copy() for frame in video.frames(np.arange(100)))
    video.close()
    assert 5 <= caught.value.decoded < 40
    assert written_numbers(frames[:5]) == [0, 1, 2, 3, 4]


def test_what_is_not_8_bit_colour_is_refused(tmp_path, monkeypatch):
    path = str(tmp_path / "a.mp4")
    write_video(path, "libx264")

    class Frame:
        def to_ndarray(self, format):
            raise ValueError(f"Conversion to {format} is not supported")

    class Container:
        """Frames of a kind that does not convert; one cannot inherit from PyAV's."""

        def __init__(self, *arguments):
            self.container = real(*arguments)

        def __getattr__(self, name):
            return getattr(self.container, name)

        def decode(self, stream):
            return (Frame() for _ in self.container.decode(stream))

    real = av.open
    monkeypatch.setattr(av, "open", Container)
    with pytest.raises(BadVideo, match="frame 3 does not convert to 8-bit colour: Conversion to bgr24"):
        read(PyAVVideo, path, [3])


@pytest.mark.parametrize("content", [b"nothing" * 50, b"RIFF\x00\x00\x00\x00AVI " + bytes(300)])
def test_files_that_it_cannot_open(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(BadVideo, match=r"^(PyAV cannot open it: |it has no video stream)"):
        PyAVVideo(str(path))
