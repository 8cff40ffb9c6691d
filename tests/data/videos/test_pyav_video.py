import os

import av
import cv2
import numpy as np
import pytest
from encoded_videos import write_song, write_video, written_numbers

from mae.data.videos import pyav_video
from mae.data.videos.opencv_video import OpenCVVideo
from mae.data.videos.pyav_video import KeyFrame, PyAVVideo, holds_video
from mae.data.videos.video import EndOfVideo
from mae.errors import BadVideo

COUNT = 400
TICKS = 512  # of an MP4 per frame at 25 frames per second
KEYS = tuple(KeyFrame(number, TICKS * number) for number in range(0, COUNT, 30))


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Constant-rate h264 with B-frames and a key frame every 30; a bright bar moves one row per frame."""
    path = str(tmp_path_factory.mktemp("h264") / "a.mp4")
    with av.open(path, "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"g": "30", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(COUNT):
            image = np.full((48, 64, 3), number // 2, np.uint8)
            image[number % 48] = 255 - number // 4
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode())
    return path


class Spied(PyAVVideo):
    """Notes the frames that seeks went to, and how many frames were decoded."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.sought, self.count = [], 0

    def _seek(self, key):
        self.sought.append(key.number)
        return super()._seek(key)

    def _decode(self, packet):
        for frame in super()._decode(packet):
            self.count += 1
            yield frame


def read(path, wanted, key_frames=()):
    """The frames, and what read them."""
    video = Spied(path, key_frames)
    try:
        return [frame.copy() for frame in video.frames(np.asarray(wanted))], video
    finally:
        video.close()


def test_claims(tmp_path):
    path = str(tmp_path / "a.mp4")
    write_video(path, "libx264", pace=25)
    video = PyAVVideo(path)
    assert (video.claimed_count, video.frames_per_second, video.codec) == (40, 25.0, "h264")
    video.close()


@pytest.mark.parametrize("flags", ["frag_keyframe", "frag_keyframe+empty_moov", "frag_keyframe+global_sidx"])
def test_a_file_in_fragments_claims_what_all_of_them_hold(tmp_path, flags):
    whole, path = str(tmp_path / "whole.mp4"), str(tmp_path / "a.mp4")
    write_video(whole, "libx264", options={"g": "5"})
    with av.open(whole) as source, av.open(path, "w", options={"movflags": flags}) as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    assert PyAVVideo(path).claimed_count == 40


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.webm", "a.h264"])
def test_what_the_container_does_not_state_is_counted(tmp_path, name):
    path = str(tmp_path / name)
    write_video(path, "libvpx" if name == "a.webm" else "libx264")
    assert PyAVVideo(path).claimed_count == 40


def test_the_end(tmp_path):
    path = str(tmp_path / "a.mkv")
    write_video(path, "libx264")
    with pytest.raises(EndOfVideo) as caught:
        read(path, [3, 45])
    assert caught.value.decoded == 40


def test_seeking_gives_the_frames_that_walking_gives(moving):
    rng = np.random.default_rng(0)
    every, _ = read(moving, range(COUNT))
    assert len({frame.tobytes() for frame in every}) > 0.95 * COUNT
    for size in (1, 2, 4, 16):
        for _ in range(6):
            wanted = np.sort(rng.choice(COUNT, size, replace=False))
            for number, frame in zip(wanted, read(moving, wanted, KEYS)[0], strict=True):
                np.testing.assert_array_equal(frame, every[number])
    for first in (23, 24, 29, 30, 31, 59, 60, 61, COUNT - 1):
        np.testing.assert_array_equal(read(moving, [first], KEYS)[0][0], every[first])


def test_far_frames_are_sought_and_near_ones_walked_to(moving):
    assert read(moving, [200, 204, 390], KEYS)[1].sought == [180, 390]
    assert read(moving, [10, 14, 122], KEYS)[1].sought == [120]
    assert read(moving, [14, 29], KEYS)[1].sought == []
    video = read(moving, [200, 204], KEYS)[1]
    assert video.count < 40
    assert video.seeks


def test_a_seek_must_spare_enough(moving, monkeypatch):
    assert read(moving, [14, 31], KEYS)[1].sought == []
    monkeypatch.setattr(pyav_video, "SEEK_GAIN", 15)
    assert read(moving, [14, 31], KEYS)[1].sought == [30]


def test_the_end_after_a_seek_counts_all_frames(moving):
    for key_frames in ((), KEYS):
        for wanted in ([300, COUNT + 3], [10**6]):
            with pytest.raises(EndOfVideo) as caught:
                read(moving, wanted, key_frames)
            assert caught.value.decoded == COUNT


@pytest.mark.parametrize("error", [-TICKS * COUNT, -TICKS // 2, 1, TICKS * COUNT])
def test_a_seek_that_leads_elsewhere_is_noticed(moving, error):
    """No frame has the time stamp that the scan saw: the file is another one."""
    expected, _ = read(moving, [300, 380])
    wrong = [KeyFrame(key.number, key.time + error) for key in KEYS]
    frames, video = read(moving, [300, 380], wrong)
    np.testing.assert_array_equal(frames, expected)
    assert video.sought == [300], "once is enough"
    assert not video.seeks


def test_a_seek_that_fails_is_not_taken_for_the_end(moving):
    expected, _ = read(moving, [300, 310])

    class Lost:
        def __init__(self, container):
            self.container = container

        def seek(self, *arguments, **options):
            raise av.FFmpegError(1, "Operation not permitted")

        def __getattr__(self, name):
            return getattr(self.container, name)

    video = PyAVVideo(moving, KEYS)
    video._container = Lost(video._container)
    np.testing.assert_array_equal([frame.copy() for frame in video.frames(np.array([300, 310]))], expected)
    video.close()


def test_streams_that_a_file_announces_late_are_nothing_to_the_video(tmp_path):
    """PyAV raises an IndexError after the last packet."""
    path = str(tmp_path / "a.ts")
    write_video(path, "libx264")

    class Growing:
        def __init__(self, container):
            self.container = container

        def demux(self, stream):
            yield from (packet for packet in self.container.demux(stream) if packet.size)
            raise IndexError("list index out of range")

        def close(self):
            self.container.close()

    video = PyAVVideo(path)
    video._container = Growing(video._container)
    assert len(list(video.decoded())) == 40
    assert video.lost == 0
    video.close()


def test_what_does_not_decode_is_passed_over_and_counted(tmp_path):
    """A lost frame is one less, not the end: as many come as `ffmpeg` shows."""
    path = tmp_path / "a.avi"
    write_video(str(path), "png", pixels="rgb24")
    header, *pictures = path.read_bytes().split(b"\x89PNG")
    marks = [b"lost" if number in (12, 20) else b"\x89PNG" for number in range(40)]
    path.write_bytes(header + b"".join(map(bytes.__add__, marks, pictures)))
    video = PyAVVideo(str(path))
    levels = [video.pixels(frame, 0).mean() for frame in video.decoded()]
    video.close()
    assert video.lost == 2
    # A picture whose start is not recognised is taken for a part of the next one's packet, by `ffmpeg` as well.
    lost = (12, 13, 20, 21)
    assert written_numbers([np.array(level) for level in levels]) == [n for n in range(40) if n not in lost]


def test_what_does_not_convert_is_refused(tmp_path, monkeypatch):
    path = str(tmp_path / "a.mp4")
    write_video(path, "libx264")

    def refuse(self, frame):
        raise ValueError("Conversion to rgb24 is not supported")

    monkeypatch.setattr(pyav_video.Pixels, "of", refuse)
    with pytest.raises(BadVideo, match="frame 3 does not convert to 8-bit colour: Conversion to rgb24"):
        read(path, [3])


@pytest.mark.parametrize("content", [b"nothing" * 50, b"RIFF\x00\x00\x00\x00AVI " + bytes(300)])
def test_files_that_it_cannot_open(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    for _ in range(5):
        with pytest.raises(BadVideo, match=r"^(not a video that PyAV can open: |it has no video stream)"):
            PyAVVideo(str(path))
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("video", [PyAVVideo, OpenCVVideo])
@pytest.mark.parametrize(
    ("container", "codec", "is_marked"),
    [("mp3", "libmp3lame", True), ("flac", "flac", True), ("mp4", "aac", True), ("mp4", "aac", False)],
)
def test_a_song_with_a_cover_is_no_video(tmp_path, video, container, codec, is_marked):
    path = tmp_path / "a.mp4"  # whatever its name says
    write_song(path, container, codec, is_marked)
    with pytest.raises(BadVideo, match=r"^a song with the picture of a cover, not a video$"):
        video(str(path))


def test_a_video_of_one_picture_is_one_where_nothing_sounds(tmp_path):
    write_video(str(tmp_path / "a.mov"), "mjpeg", count=1, pixels="yuvj420p")
    assert PyAVVideo(str(tmp_path / "a.mov")).claimed_count == 1


def test_what_is_a_video_by_its_content(tmp_path):
    write_video(str(tmp_path / "a"), "libx264", container="mpegts")
    write_song(tmp_path / "b")
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((8, 8), np.uint8))
    os.rename(tmp_path / "c.png", tmp_path / "c")
    (tmp_path / "d.nfo").write_text("FFmpeg would draw these letters\n" * 9)
    (tmp_path / "e").write_bytes(bytes(range(256)) * 16)
    (tmp_path / "f").touch()
    assert [name for name in sorted(os.listdir(tmp_path)) if holds_video(str(tmp_path / name))] == ["a"]


def test_a_play_list_leads_nowhere(tmp_path):
    """Neither to the network nor through other protocols."""
    path = tmp_path / "a.mp4"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(BadVideo):
        PyAVVideo(str(path)).claimed_count  # noqa: B018
