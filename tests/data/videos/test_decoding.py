"""What pixels are made of frames: grey as `ffmpeg` shows it, and channels that fit a model."""

import subprocess
import zipfile

import cv2
import numpy as np
import pytest
from ffmpeg_program import FFMPEG, ffmpeg
from written_videos import noise_frames, write_video

from mae.data.clips import ClipReader, ClipSpec
from mae.data.lists.index import single_video
from mae.data.pack.write import Pictures, write_packed
from mae.data.scan.statistics import channel_statistics, settings_of
from mae.data.videos.decoding import Decoding, check_window, decoding
from mae.data.videos.read import read_video
from mae.errors import BadVideo, ConfigError

SOURCE = "-f lavfi -i testsrc2=size=64x48:rate=5:duration=1"


def grey_by_ffmpeg(path):
    """(T, 48, 64) uint8, at full range, as a viewer of grey pictures is given them."""
    how = "-map 0:V:0 -fps_mode passthrough -vf format=gray -f rawvideo -"
    command = [FFMPEG, "-v", "error", "-threads", "1", "-i", str(path), *how.split()]
    return np.frombuffer(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout, np.uint8).reshape(
        -1, 48, 64
    )


@pytest.mark.parametrize(
    "coded",
    ["-c:v mpeg4 -q:v 2 a.mp4", "-pix_fmt yuvj420p -c:v mjpeg -q:v 2 a.avi", "-c:v ffv1 -pix_fmt gray10le a.mkv",
     "-c:v ffv1 -pix_fmt bgr0 a.mkv"],
)  # fmt: skip
def test_grey_is_the_luma_that_ffmpeg_shows(tmp_path, coded):
    ffmpeg(tmp_path, f"{SOURCE} {coded}")
    path = tmp_path / coded.split()[-1]
    made = read_video(path, channels="grey")
    assert made.shape == (5, 48, 64, 1)
    np.testing.assert_allclose(made[..., 0].astype(int), grey_by_ffmpeg(path), atol=1)
    by_opencv = read_video(path, [2], decoder="opencv", channels="grey")[0, ..., 0]
    np.testing.assert_array_equal(
        by_opencv, cv2.cvtColor(read_video(path, [2], decoder="opencv")[0], cv2.COLOR_RGB2GRAY)
    )


def test_pictures_and_packed_videos_are_grey_too(tmp_path):
    frames = cv2.GaussianBlur(noise_frames(3, height=32, width=32)[0], (0, 0), 4)[None].repeat(3, axis=0)
    path = write_video(tmp_path / "a.avi", frames)
    write_packed(path, tmp_path / "a.zip", Pictures(320, 95))
    assert zipfile.is_zipfile(tmp_path / "a.zip")
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"frames/{number}.png"), frame[..., ::-1])
    luma = cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY)
    for name, most in (("frames", 1), ("a.zip", 8), ("a.avi", 2)):
        made = read_video(tmp_path / name, [1], channels="grey")[0, ..., 0]
        np.testing.assert_allclose(made.astype(int), luma, atol=most)
        with pytest.raises(BadVideo, match="expected an array, as channels=stored says"):
            read_video(tmp_path / name, channels="stored")


def test_clips_of_one_channel(tmp_path):
    path = write_video(tmp_path / "a.avi", noise_frames(6).repeat(3, axis=1))
    spec = ClipSpec(4, 1, 12, decoding=Decoding(channels="grey"))
    clip = ClipReader(single_video(path), spec, seed=0).center_clip(0)
    grey = read_video(path, range(1, 5), channels="grey")[..., 0]
    expected = np.stack([cv2.resize(frame, (12, 29), interpolation=cv2.INTER_LINEAR)[8:20] for frame in grey])
    np.testing.assert_array_equal(clip[..., 0], expected)


def test_what_fits_a_model():
    assert [decoding(count).channels for count in (1, 2, 3, 4)] == ["grey", "stored", "rgb", "stored"]
    assert decoding(3, "stored").count == 3
    with pytest.raises(ConfigError, match=r"in_channels=1 and data.channels=rgb, which gives 3: give data.channels=g"):
        decoding(1, "rgb")
    for wrong in ([1], [2, 1], [0, float("inf")], "ab", 3.0, [None, 1]):
        with pytest.raises(ConfigError, match=r"data.window=.* must be two numbers, low below high"):
            check_window(wrong)


def test_statistics_are_those_of_all_pixels(tmp_path):
    arrays = [np.random.default_rng(seed).integers(0, 1000, (9, 8, 8, 2), np.uint16) for seed in range(3)]
    paths = [str(tmp_path / f"{number}.npy") for number in range(3)]
    for path, array in zip(paths, arrays, strict=True):
        np.save(path, array)
    stored = Decoding(channels="stored", window=(0.0, 255.0))
    (mean, std), frames = channel_statistics([*paths, str(tmp_path / "none.npy")], stored, 1, None)
    pixels = np.concatenate(arrays).clip(0, 255).reshape(-1, 2) / 255
    np.testing.assert_allclose(mean, pixels.mean(axis=0))
    np.testing.assert_allclose(std, pixels.std(axis=0))
    assert frames == 27
    told = settings_of(channel_statistics(paths, stored, 1, None)[0], stored)
    assert told[:3] == ["model.in_channels=2", "data.channels=stored", "data.window=[0,255]"]
    assert told[3] == f"model.mean=[{mean[0]:.4f},{mean[1]:.4f}]"
    np.save(paths[1], arrays[1][..., :1])
    with pytest.raises(ConfigError, match=r"1.npy has 1 channels, and .*0.npy has 2"):
        channel_statistics(paths, stored, 1, None)
