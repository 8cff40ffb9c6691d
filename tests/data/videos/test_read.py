import builtins
import os
import platform
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest
from encoded_videos import write_cut_video
from numbered_frames import frame_numbers, numbered_frames
from patience import PATIENCE
from whole_clips import read_clip

from mae.data.videos import kinds, pyav_video
from mae.data.videos.pyav_video import KeyFrame, PyAVVideo
from mae.data.videos.read import open_video, pin_threads, read_frames, read_video
from mae.errors import BadVideo, ConfigError


def take(*numbers):
    return lambda count: np.array(numbers)


class Chooser:
    """First, middle and last frame; remembers the counts it was told."""

    def __init__(self):
        self.counts = []

    def __call__(self, count):
        self.counts.append(count)
        return np.array([0, count // 2, count - 1])


@pytest.fixture
def truncated(tmp_path):
    """Claims 40 frames of noise, about half of which are there."""
    path = str(tmp_path / "truncated.mp4")
    write_cut_video(path)
    return path


def forget(path):
    """Nothing is known of a file that was changed at another time: it counts as another one."""
    os.utime(path, ns=(0, os.stat(path).st_mtime_ns + 1))


@pytest.fixture
def motion_jpeg(tmp_path):
    """A bare stream of JPEGs, which has no frame count; its second half is larger: 6 of 48×32, 6 of 80×64."""
    path = tmp_path / "stream.mjpeg"
    frames = [np.full((32, 48, 3) if i < 6 else (64, 80, 3), 20 * i, np.uint8) for i in range(12)]
    path.write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames))
    return str(path)


@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "with space.mkv", "vidéo 映像.avi", "100%d.avi", "-a,b:c.mkv"])
def test_frames_are_exact_whatever_the_name(make_video, name):
    path = make_video(name, numbered_frames(30))
    assert frame_numbers(read_clip(path, take(0, 7, 8, 8, 29))) == [0, 7, 8, 8, 29]
    assert frame_numbers(read_clip(path, take(13))) == [13]


def test_clip_is_contiguous_uint8(make_video):
    clip = read_clip(make_video("a.avi", numbered_frames(5)), take(0, 0, 3))
    assert clip.shape == (3, 32, 48, 3)
    assert clip.dtype == np.uint8
    assert clip.flags.c_contiguous


@pytest.mark.parametrize(
    ("codec", "name"), [("FFV1", "a.avi"), ("mp4v", "a.mp4"), ("MJPG", "a.mkv"), ("VP80", "a.webm")]
)
def test_red_is_red(make_video, codec, name):
    frames = np.zeros((4, 64, 64, 3), np.uint8)
    frames[..., 0] = 250
    clip = read_clip(make_video(name, frames, codec), take(0, 3))
    np.testing.assert_allclose(clip.mean(axis=(0, 1, 2)), [250, 0, 0], atol=12)


def test_the_claimed_count_is_offered(make_video):
    chooser = Chooser()
    read_clip(make_video("a.avi", numbered_frames(23)), chooser)
    assert chooser.counts == [23]


def test_odd_sizes(tmp_path):
    path = tmp_path / "odd.mjpeg"  # OpenCV's writer would round to even sizes
    path.write_bytes(3 * cv2.imencode(".jpg", np.full((33, 47, 3), 90, np.uint8))[1].tobytes())
    clip = read_clip(str(path), take(0, 2))
    assert clip.shape == (2, 33, 47, 3)
    np.testing.assert_allclose(clip, 90, atol=2)


def test_grayscale(tmp_path):
    path = str(tmp_path / "grey.avi")
    fourcc = cv2.VideoWriter.fourcc(*"FFV1")
    writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, fourcc, 10, (48, 32), isColor=False)
    for i in range(5):
        writer.write(np.full((32, 48), 3 * i, np.uint8))
    writer.release()
    assert frame_numbers(read_clip(path, take(1, 4))) == [1, 4]


def test_one_frame(make_video):
    chooser = Chooser()
    clip = read_clip(make_video("one.avi", numbered_frames(1)), chooser)
    assert chooser.counts == [1]
    assert clip.shape == (3, 32, 48, 3)


def test_rotated_files_come_upright(make_video):
    frames = np.zeros((3, 32, 64, 3), np.uint8)
    frames[:, :, :32] = 250  # left half white
    path = make_video("rotated.mp4", frames, "mp4v")
    with open(path, "r+b") as file:
        content = file.read()
        # Track header: type, then 40 bytes, then the display matrix (16.16 fixed point; last column 2.30).
        file.seek(content.index(b"tkhd") + 44)
        for value in (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30):  # a quarter turn clockwise
            file.write(value.to_bytes(4, "big", signed=True))
    clip = read_clip(path, take(0, 2))
    assert clip.shape == (2, 64, 32, 3)
    assert clip[:, :30].mean() > 240, "the left half is now above"
    assert clip[:, 34:].mean() < 10


def test_a_file_with_fewer_frames_than_it_claims(truncated):
    chooser = Chooser()
    clip = read_clip(truncated, chooser)
    claimed, real = chooser.counts
    assert claimed == 40
    assert 10 < real < 30
    assert clip.shape == (3, 32, 48, 3)


def test_what_is_chosen_does_not_depend_on_what_was_met_before(truncated, monkeypatch):
    """A resumed run has forgotten the real counts; it must read the same frames."""
    passes = []
    monkeypatch.setattr(kinds, "PyAVVideo", lambda *a: passes.append(1) or PyAVVideo(*a))

    def late(count):
        return np.array([0, count // 4, count - 3])

    def early(count):
        return np.array([0, count // 8])

    first = read_clip(truncated, late), read_clip(truncated, early)
    assert len(passes) == 3
    again = read_clip(truncated, late), read_clip(truncated, early)
    assert len(passes) == 5, "a known real count saves the futile pass"
    forget(truncated)
    forgotten = read_clip(truncated, early), read_clip(truncated, late)
    for a, b, c in zip(first, again, forgotten[::-1], strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_what_is_chosen_does_not_depend_on_seeking(truncated, monkeypatch):
    def thirds(count):
        return np.array([0, count // 3, 2 * count // 3, count - 1])

    walked = read_clip(truncated, thirds)
    video = PyAVVideo(truncated)
    keys = [KeyFrame(number, frame.pts) for number, frame in enumerate(video.decoded())]
    video.close()
    monkeypatch.setattr(kinds, "PyAVVideo", lambda path, *_: PyAVVideo(path, keys))
    monkeypatch.setattr(pyav_video, "SEEK_GAIN", 2)
    np.testing.assert_array_equal(read_clip(truncated, thirds), walked)
    forget(truncated)
    np.testing.assert_array_equal(read_clip(truncated, thirds), walked)
    np.testing.assert_array_equal(read_clip(truncated, thirds), walked)


def test_a_replaced_file_is_counted_anew(truncated, make_video):
    read_clip(truncated, Chooser())
    os.unlink(truncated)
    chooser = Chooser()
    os.replace(make_video("other.mp4", numbered_frames(40), "mp4v"), truncated)
    read_clip(truncated, chooser)
    assert chooser.counts == [40]


def test_a_stream_without_a_count_and_with_two_sizes(motion_jpeg):
    chooser = Chooser()
    clip = read_clip(motion_jpeg, chooser)
    assert chooser.counts == [12]
    assert clip.shape == (3, 32, 48, 3)
    np.testing.assert_allclose(clip.mean(axis=(1, 2, 3)), [0, 120, 220], atol=3)


def test_files_that_are_no_videos(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 50)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    reasons = {
        "empty.mp4": "empty file",
        "text.mp4": "not a video that PyAV can open",
        "folder.mp4": "a directory without images",
        "dangling.mp4": "missing",
        "absent.mp4": "missing",
        "loop.mp4": "cannot be read: Too many levels",
        "pipe.mp4": "not a regular file",
        os.fsdecode(b"\xff.mp4"): "not valid UTF-8",
        "nul\0.mp4": "not valid UTF-8",
    }
    for name, reason in reasons.items():
        with pytest.raises(BadVideo, match=reason):
            read_clip(os.path.join(tmp_path, name), take(0))


def test_permission_denied(make_video, monkeypatch):
    path = make_video("a.avi", numbered_frames(2))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(builtins, "open", refuse)  # the superuser may read everything
    with pytest.raises(BadVideo, match="permission denied"):
        read_clip(path, take(0))


def test_a_video_without_a_frame(make_video):
    path = make_video("a.avi", numbered_frames(8))
    with open(path, "rb") as file:
        header = file.read().index(b"movi") + 4
    os.truncate(path, header)
    with pytest.raises(BadVideo, match=r"no frame decodes|PyAV can open"):
        read_clip(path, take(0))


def test_failures_inside_opencv_are_bad_videos(make_video):
    def fail(*_):
        return cv2.resize(np.zeros((0, 0, 3), np.uint8), (4, 4))

    with pytest.raises(BadVideo, match="OpenCV failed: "):
        read_frames(make_video("a.avi", numbered_frames(2)), take(0), fail)


def test_threads_read_the_same(make_video):
    path = make_video("a.mkv", numbered_frames(40))
    results = []
    threads = [
        threading.Thread(target=lambda i=i: results.append((i, frame_numbers(read_clip(path, take(i, 2 * i))))))
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(i, [i, 2 * i]) for i in range(8)]


def test_threads_are_pinned_on_request_only():
    before = cv2.getNumThreads()
    try:
        pin_threads()
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


def whole(position, frame):
    return [frame]


def numbers_in(path, segment, choose=np.arange, **values):
    frames = read_frames(path, choose, whole, segment, **values)
    numbers = frame_numbers(np.stack([view for (view,) in frames.views]))
    assert numbers == frames.numbers.tolist()
    return numbers


def test_a_segment_is_all_there_is(make_video):
    path = make_video("a.avi", numbered_frames(30))  # at 10 frames per second
    assert numbers_in(path, (0.5, 1.2)) == list(range(5, 12))
    assert numbers_in(path, (0.0, 0.3)) == [0, 1, 2]
    assert numbers_in(path, (2.7, 99.0)) == [27, 28, 29], "cut at the end of the file"
    assert numbers_in(path, (0.14, 0.26)) == [1, 2]
    assert numbers_in(path, (1.0, 1.01)) == [10], "never empty"
    assert numbers_in(path, (1.0, 2.0), lambda count: np.array([0, count - 1]), timeout_s=PATIENCE) == [10, 19]
    with pytest.raises(BadVideo, match="its 30 frames end before 3 s, the start of the segment"):
        numbers_in(path, (3.0, 4.0))


def test_segments_at_a_broken_rate(tmp_path):
    path = str(tmp_path / "a.mp4")
    writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 30000 / 1001, (48, 32))
    for _ in range(80):
        writer.write(np.zeros((32, 48, 3), np.uint8))
    writer.release()
    # 1 s · 29.97 = 29.97 → 30; 2 s → 59.94 → 60; 1.52 s → 45.55 → 46; 1.51 s → 45.25 → 45.
    for segment, first, count in [((1, 2), 30, 30), ((1.51, 2), 45, 15), ((1.52, 2), 46, 14)]:
        numbers = read_frames(path, np.arange, lambda *_: [], segment).numbers
        assert (numbers[0], len(numbers)) == (first, count)


def test_a_segment_of_a_file_with_fewer_frames_than_it_claims(truncated):
    real = len(read_clip(truncated, np.arange))
    for _ in range(2):
        for is_forgotten in (False, True):
            if is_forgotten:
                forget(truncated)
            chosen = read_frames(truncated, lambda count: np.array([0, count - 1]), whole, (0.5, 4.0)).numbers
            assert chosen.tolist() == [5, real - 1]
            with pytest.raises(BadVideo, match=f"its {real} frames end before 3.8 s"):
                read_frames(truncated, np.arange, whole, (3.8, 4.0))


def test_a_segment_of_a_stream_without_a_count(motion_jpeg):
    with open_video(motion_jpeg) as video:
        rate = video.frames_per_second
    frames = read_frames(motion_jpeg, np.arange, whole, (3 / rate, 8 / rate))
    assert frames.numbers.tolist() == [3, 4, 5, 6, 7]


def test_views_are_asked_once_per_distinct_frame_with_memory_of_their_own(make_video):
    path = make_video("a.avi", numbered_frames(20))
    seen = []

    def views(position, frame):
        seen.append((position, frame))
        top, bottom = frame[:8], frame[8:]
        return [frame, top, bottom, frame, frame[::-1, ::-1]]

    frames = read_frames(path, lambda count: np.array([2, 2, 5, 9, 9]), views)
    assert frames.numbers.tolist() == [2, 5, 9]
    assert [position for position, _ in seen] == [0, 1, 2]
    made = [view for views in frames.views for view in views]
    others = [frame for _, frame in seen]
    for i, view in enumerate(made):
        assert view.flags.writeable
        assert not any(np.shares_memory(view, other) for other in (*made[:i], *made[i + 1 :], *others))
    for number, views_of_frame in zip([2, 5, 9], frames.views, strict=True):
        assert [view.shape for view in views_of_frame] == [(32, 48, 3), (8, 48, 3), (24, 48, 3), *[(32, 48, 3)] * 2]
        assert all((view == 3 * number).all() for view in views_of_frame)


def test_opening_tells_the_reason(tmp_path, make_video):
    with open_video(make_video("a.avi", numbered_frames(4))) as video:
        assert (video.claimed_count, video.frames_per_second) == (4, 10.0)
    (tmp_path / "text.mp4").write_text("no video" * 50)
    with (
        pytest.raises(BadVideo, match="not a video that PyAV can open: "),
        open_video(str(tmp_path / "text.mp4")),
    ):
        pass


def test_errors_of_the_caller_stay_what_they_are(make_video):
    """A mistake in a sampler or a crop is no bad video."""

    def fail(*_):
        raise ZeroDivisionError

    path = make_video("a.avi", numbered_frames(4))
    for timeout in (None, PATIENCE):
        with pytest.raises(ZeroDivisionError):
            read_frames(path, fail, whole, timeout_s=timeout)
        with pytest.raises(ZeroDivisionError):
            read_frames(path, np.arange, fail, timeout_s=timeout)


def test_memory_that_does_not_suffice_is_said(make_video):
    def fail(*_):
        raise MemoryError

    with pytest.raises(BadVideo, match="do not fit into memory"):
        read_frames(make_video("a.avi", numbered_frames(4)), np.arange, fail)


def test_whole_videos(make_video):
    path = make_video("a.avi", numbered_frames(9))
    video = read_video(path)
    assert (video.shape, video.dtype) == ((9, 32, 48, 3), np.uint8)
    assert frame_numbers(video) == list(range(9))
    assert frame_numbers(read_video(path, [7, 0, 7])) == [7, 0, 7]
    assert frame_numbers(read_video(path, range(2, 9, 3), decoder="opencv")) == [2, 5, 8]
    for frames in ([9], [-1], []):
        with pytest.raises(IndexError, match=r"a.avi has frames 0 to 8; frames=\["):
            read_video(path, frames)
    with pytest.raises(ConfigError, match="decoder 'decord' does not exist"):
        read_video(path, decoder="decord")


def test_whole_videos_that_claim_more(truncated):
    video = read_video(truncated)
    assert 10 < len(video) < 30
    with pytest.raises(IndexError, match=f"has frames 0 to {len(video) - 1}"):
        read_video(truncated, [0, 39])


GROWING = """
import resource, sys
import numpy as np
from mae.data.videos.read import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for size in range(9, 25):  # MB, each larger than any that was freed
    np.full(size << 20, 1, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have rules of their own")
def test_freed_memory_is_not_fetched_anew():
    environment = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0"}
    faults = [
        int(subprocess.check_output([sys.executable, "-c", GROWING, mode], env=environment, timeout=PATIENCE))
        for mode in ("keep", "give back")
    ]
    assert faults[0] < faults[1] / 4
