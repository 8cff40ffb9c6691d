import av
import numpy as np
import pytest
from PIL import Image

from mae.errors import ConfigError
from mae.monitoring.moving import save_moving


@pytest.fixture
def frames():
    """A smooth ramp of colours that moves: (4, 65, 97, 3), of odd height and width."""
    y, x = np.mgrid[:65, :97]
    return np.stack([np.stack([x + 20 * t, 2 * y, 255 - x - y], axis=-1) for t in range(4)]).astype(np.uint8)


def read(path):
    if path.suffix == ".gif":
        with Image.open(path) as image:
            assert image.info["loop"] == 0
            return np.stack([_frame(image, number) for number in range(image.n_frames)])
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 8
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def _frame(image, number):
    image.seek(number)
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_frames_come_back(frames, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    save_moving(path, frames)
    again = read(path)[:, :65, :97].astype(float)
    assert again.shape == frames.shape
    assert np.abs(again - frames).mean() < 4
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_smooth_areas_of_a_gif_have_no_bands(frames, tmp_path):
    """Averaged over 8×8 pixels a dithered ramp is nearly the ramp; a banded one is half a band off."""
    path = tmp_path / "a.gif"
    save_moving(path, frames)
    again, before = (video[:, :64, :96].reshape(4, 8, 8, 12, 8, 3).mean((2, 4)) for video in (read(path), frames))
    assert np.abs(again - before).mean() < 1.5


def test_other_names_are_refused(frames, tmp_path):
    with pytest.raises(ConfigError, match=r"a\.avi: a moving picture ends with \.gif or \.mp4"):
        save_moving(tmp_path / "a.avi", frames)
    assert not list(tmp_path.iterdir())
