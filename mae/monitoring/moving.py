"""Moving pictures: GIF by Pillow, MP4 by PyAV."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from mae.errors import ConfigError
from mae.files import replacing

FORMATS = (".gif", ".mp4")
FRAMES_PER_SECOND = 8
_ENCODERS = ("libx264", "mpeg4")  # the first that this FFmpeg has; browsers play the first only
_KMEANS = 2  # passes that improve a palette


def save_moving(path: str | Path, frames: np.ndarray, frames_per_second: int = FRAMES_PER_SECOND) -> None:
    """Writes frames (T, H, W, 3) uint8 RGB as the format that the name ends with; the whole file or nothing.

    Raises:
        ConfigError: another ending, or FFmpeg without an encoder.
    """
    writers = {".gif": _write_gif, ".mp4": _write_mp4}
    path = Path(path)
    if path.suffix not in writers:
        raise ConfigError(f"{path}: a moving picture ends with {' or '.join(FORMATS)}")
    with replacing(path) as temporary:
        writers[path.suffix](temporary, frames, frames_per_second)


def _write_gif(path: Path, frames: np.ndarray, frames_per_second: int) -> None:
    from PIL import Image

    # 256 colours of each frame's own, and the error of a pixel carried on to its neighbours: without the latter
    # smooth areas turn into bands.
    made = []
    for frame in map(Image.fromarray, frames):
        palette = frame.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=_KMEANS)
        made.append(frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG))
    first, *rest = made
    first.save(path, format="gif", save_all=True, append_images=rest, duration=1000 // frames_per_second, loop=0)


def _write_mp4(path: Path, frames: np.ndarray, frames_per_second: int) -> None:
    import av

    # H.264 halves the resolution of colours, so width and height are even.
    frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    name = _encoder()
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(name, rate=Fraction(frames_per_second))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "16"} if name == "libx264" else {"qscale": "2"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _encoder() -> str:
    import av

    for name in _ENCODERS:
        if name in av.codecs_available:
            return name
    raise ConfigError("PyAV's FFmpeg encodes neither H.264 nor MPEG-4: write a .gif, or reinstall av")
