"""Whether videos can be decoded: a small clip of each codec is encoded in memory and decoded again."""

import io
import os
from dataclasses import dataclass

import numpy as np

from mae.doctor.finding import Finding, fatal

FRAMES, HEIGHT, WIDTH = 8, 128, 192


@dataclass(frozen=True)
class Codec:
    """What a clip is encoded with."""

    name: str  # for people
    encoder: str  # of FFmpeg
    container: str
    pixels: str = "yuv420p"


CODECS = (
    Codec("H.264", "libx264", "mp4"),
    Codec("HEVC", "libx265", "mp4"),
    Codec("HEVC 10 bit", "libx265", "mp4", "yuv420p10le"),
    Codec("AV1", "libsvtav1", "mp4"),
    Codec("VP9", "libvpx-vp9", "webm"),
    Codec("VP8", "libvpx", "webm"),
    Codec("MPEG-4", "mpeg4", "avi"),
    Codec("MPEG-2", "mpeg2video", "mpegts"),
    Codec("Motion JPEG", "mjpeg", "avi", "yuvj420p"),
    Codec("ProRes", "prores_ks", "mov", "yuv422p10le"),
    Codec("FFV1", "ffv1", "matroska"),
)
_NEAR = 8.0  # grey levels: what lossy codecs leave, on average


def check_codecs(codecs: tuple[Codec, ...] = CODECS) -> list[Finding]:
    """One line for the codecs that give the clip back, one for each that does not, one for those not to be tried."""
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder writes to stderr by itself; errors only
    import av

    works, untried, wrong = [], [], []
    for codec in codecs:
        if codec.encoder not in av.codecs_available:
            untried.append(codec.name)
            continue
        reason = _decode_again(codec)
        if reason is None:
            works.append(codec.name)
            continue
        remedy = "pip install --force-reinstall av; training leaves such videos out, and stops where there are many"
        make = fatal if codec.name == "H.264" else Finding
        wrong.append(make("codecs", f"{codec.name}: {reason}", remedy))
    found = [Finding("codecs", f"decoded a clip of {', '.join(works)} (PyAV {av.__version__})"), *wrong]
    if untried:
        found.append(Finding("codecs", f"no encoder here to try {', '.join(untried)} with"))
    return found


def drawn_clip() -> np.ndarray:
    """A square that moves over a ramp: (FRAMES, HEIGHT, WIDTH, 3) uint8 RGB."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    frames = np.repeat(np.stack([rows, columns, 200 - rows], axis=-1)[None].astype(np.uint8), FRAMES, axis=0)
    for number, frame in enumerate(frames):
        frame[40:72, 8 + 16 * number : 40 + 16 * number] = 230
    return frames


def _decode_again(codec: Codec) -> str | None:
    """What is wrong with the clip that comes back; None: nothing."""
    import av

    clip = drawn_clip()
    try:
        with av.open(_encoded(codec, clip), "r") as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.FFmpegError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    if len(frames) != FRAMES:
        return f"{len(frames)} of {FRAMES} frames come back"
    difference = float(np.abs(np.stack(frames).astype(float) - clip).mean())
    return None if difference < _NEAR else f"the frames that come back differ by {difference:.0f} grey levels"


def _encoded(codec: Codec, clip: np.ndarray) -> io.BytesIO:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=codec.container) as container:
        stream = container.add_stream(codec.encoder, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, codec.pixels
        if codec.encoder == "libx265":
            stream.options = {"x265-params": "log-level=none"}
        for number, pixels in enumerate(clip):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    file.seek(0)
    return file
