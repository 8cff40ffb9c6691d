import os

import cv2
import numpy as np
import pytest
from whole_clips import read_clip

from mae.data.videos.frame_directory import FrameDirectory
from mae.data.videos.read import read_frames
from mae.errors import BadVideo


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 255, (12, 32, 48, 3), np.uint8)


def write_image(path, pixels):
    """RGB."""
    assert cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1]))


def directory_of(path, frames, name="frame{}.png"):
    path.mkdir()
    for i, frame in enumerate(frames):
        write_image(path / name.format(i + 1), frame)
    return str(path)


def every_third(count):
    return np.arange(0, count, 3)


def test_the_same_clip_as_from_a_video_of_these_frames(tmp_path, make_video, noise):
    # RGB inside the file, as FFV1 from OpenCV would go through 4:2:0.
    path = str(tmp_path / "a.avi")
    writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"PNG "), 10, (48, 32))
    for frame in noise:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    from_images = read_clip(directory_of(tmp_path / "frames", noise), every_third)
    np.testing.assert_array_equal(from_images, noise[::3])
    np.testing.assert_array_equal(from_images, read_clip(path, every_third))


def test_frame10_comes_after_frame2(tmp_path, noise):
    names = ["frame1.png", "frame2.png", "frame10.png", "frame11.png", "frame100.png", "Frame3.png"]
    order = ["Frame3.png", "frame1.png", "frame2.png", "frame10.png", "frame11.png", "frame100.png"]
    for name in names:
        write_image(tmp_path / name, noise[order.index(name)])
    np.testing.assert_array_equal(read_clip(str(tmp_path), lambda count: np.arange(count)), noise[:6])


def test_leading_zeros_and_long_numbers(tmp_path, noise):
    order = ["0.png", "1.png", "01.png", "001.png", "2.png", "20260101120000000001.png", "20260101120000000002.png"]
    for i, name in enumerate(order):
        write_image(tmp_path / name, noise[i])
    clip = read_clip(str(tmp_path), lambda count: np.arange(count))
    ranked = ["0.png", "001.png", "01.png", "1.png", *order[4:]]
    np.testing.assert_array_equal(clip, noise[[order.index(name) for name in ranked]])


def test_names_that_mix_numbers_and_letters(tmp_path, noise):
    for i, name in enumerate(["1.png", "1a.png", "a1b2.png", "a1b10.png", "b.png", "é.png"]):
        write_image(tmp_path / name, noise[i])
    path = str(tmp_path / "*")  # all of them, though they are no series
    assert FrameDirectory(path).claimed_count == 6
    np.testing.assert_array_equal(read_clip(path, lambda count: np.arange(count)), noise[:6])


def test_one_of_several_series(tmp_path, noise):
    for number in range(3):
        write_image(tmp_path / f"img_{number}.png", noise[number])
        write_image(tmp_path / f"flow_x_{number}.png", noise[number + 3])
    with pytest.raises(BadVideo, match=r"several series of pictures, flow_x_\*.png \(3 pictures\), img_\*.png \(3"):
        read_clip(str(tmp_path), every_third)
    clip = read_clip(str(tmp_path / "IMG_*"), lambda count: np.arange(count))
    np.testing.assert_array_equal(clip, noise[:3])
    with pytest.raises(BadVideo, match=r"no image in it is called rgb_\*"):
        read_clip(str(tmp_path / "rgb_*"), every_third)
    with pytest.raises(BadVideo, match="missing"):
        read_clip(str(tmp_path / "nowhere" / "img_*"), every_third)


def test_other_files_are_no_frames(tmp_path, noise):
    path = directory_of(tmp_path / "frames", noise[:2])
    write_image(tmp_path / "frames" / ".hidden.png", noise[3])
    (tmp_path / "frames" / "._frame1.png").write_bytes(b"what a Mac leaves behind")
    (tmp_path / "frames" / "labels.txt").write_text("x")
    (tmp_path / "frames" / "Thumbs.db").write_bytes(b"x")
    assert FrameDirectory(path).claimed_count == 2


@pytest.mark.parametrize("extension", [".jpg", ".JPEG", ".png", ".bmp", ".webp"])
def test_kinds_of_image(tmp_path, extension):
    write_image(tmp_path / f"a{extension}", np.full((16, 16, 3), (200, 100, 50), np.uint8))
    clip = read_clip(str(tmp_path), lambda count: np.array([0]))
    np.testing.assert_allclose(clip.mean(axis=(0, 1, 2)), [200, 100, 50], atol=4)


def test_grey_transparent_and_16_bit_images(tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), np.full((8, 8), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "2.png"), np.full((8, 8, 4), 91, np.uint8))
    cv2.imwrite(str(tmp_path / "3.png"), np.full((8, 8, 3), 92 * 257, np.uint16))
    clip = read_clip(str(tmp_path), lambda count: np.arange(count))
    assert clip.mean(axis=(1, 2, 3)).tolist() == [90, 91, 92]


def test_images_of_other_sizes_take_the_size_of_the_first(tmp_path):
    for i, (height, width) in enumerate([(16, 24), (32, 48), (15, 10)]):
        write_image(tmp_path / f"{i}.png", np.full((height, width, 3), 50 * i, np.uint8))
    clip = read_clip(str(tmp_path), lambda count: np.arange(count))
    assert clip.shape == (3, 16, 24, 3)
    assert clip.mean(axis=(1, 2, 3)).tolist() == [0, 50, 100]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "image frame2.png does not decode"),
        (b"no picture", "image frame2.png does not decode"),
        (".png", "image frame2.png does not decode"),
        (".jpg", "image frame2.png does not decode"),
        (None, "image frame2.png cannot be read: No such file"),
        ("directory", "image frame2.png cannot be read: Is a directory"),
    ],
)
def test_images_that_cannot_be_read(tmp_path, noise, content, reason):
    path = directory_of(tmp_path / "frames", noise[:3])
    os.unlink(tmp_path / "frames" / "frame2.png")
    if content is None:
        os.symlink(tmp_path / "nowhere.png", tmp_path / "frames" / "frame2.png")
    elif content == "directory":
        (tmp_path / "frames" / "frame2.png").mkdir()
    elif isinstance(content, str):  # the disk was full when it was written
        whole = cv2.imencode(content, noise[1])[1].tobytes()
        (tmp_path / "frames" / "frame2.png").write_bytes(whole[: len(whole) // 2])
    else:
        (tmp_path / "frames" / "frame2.png").write_bytes(content)
    with pytest.raises(BadVideo, match=reason):
        read_clip(path, lambda count: np.arange(count))
    np.testing.assert_array_equal(read_clip(path, lambda count: np.array([0, 2])), noise[[0, 2]])


def test_no_images(tmp_path):
    with pytest.raises(BadVideo, match="a directory without images"):
        read_clip(str(tmp_path), every_third)


def test_seconds_mean_nothing_without_a_clock(tmp_path, noise):
    path = directory_of(tmp_path / "frames", noise)
    with pytest.raises(BadVideo, match="it has start and end but no frame rate"):
        read_frames(path, every_third, lambda position, frame: [frame], segment=(0.0, 1.0))
