"""Videos written by PyAV, for codecs and containers that OpenCV does not write."""

import os
from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np
from av.stream import Disposition

STEP = 6  # grey levels between two frames: more than a lossy codec errs by


@contextmanager
def same_scheduling():
    """Gives the thread its scheduling back: for root, SVT-AV1 leaves it with the highest priority in real time."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def write_video(target, codec, count=40, size=(48, 32), pixels="yuv420p", options=None, pace=10, container=None):
    """Frame i is grey of level 6·i.

    Args:
        target: a path, or a file object that is written from front to end.
        size: width and height.
        pace: frames per second, or when each frame is shown, in ms.
    """
    is_even = isinstance(pace, int)
    clock = Fraction(1, pace if is_even else 1000)
    with same_scheduling(), av.open(target, "w", format=container) as output:
        stream = output.add_stream(codec, rate=pace if is_even else 10, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        if not is_even:
            stream.codec_context.time_base = clock
        for number in range(count):
            image = np.full((size[1], size[0], 3), STEP * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number if is_even else pace[number]
            frame.time_base = clock
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


def write_cut_video(path, claimed=40):
    """Frames of noise, each on its own, of which the file claims 40 and about half are there."""
    with av.open(path, "w", options={"movflags": "faststart"}) as output:
        stream = output.add_stream("libx264", rate=10, options={"g": "1"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for noise in np.random.default_rng(0).integers(0, 255, (claimed, 32, 48, 3), np.uint8):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        output.mux(stream.encode())
    os.truncate(path, os.path.getsize(path) // 2)


def write_song(path, container="mp3", codec="libmp3lame", is_marked=True):
    """A second of a tone with a picture of 64×64 pixels, which the file calls a cover unless it does not say."""
    with av.open(str(path), "w", format=container) as output:
        sound = output.add_stream(codec, rate=44100)
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        if is_marked:
            cover.disposition = Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 120, np.uint8), format="rgb24")
        for packet in [*cover.encode(picture), *cover.encode()]:
            output.mux(packet)
        tone = np.sin(np.arange(44100, dtype=np.float32) / 10)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.rate = 44100
        fitting = av.AudioResampler(sound.format.name, sound.layout.name, 44100, sound.frame_size or 1152)
        for part in [*fitting.resample(frame), *fitting.resample(None)]:
            output.mux(sound.encode(part))
        output.mux(sound.encode())


def written_numbers(clip):
    """The numbers of the frames of a clip, told by their mean level."""
    return [round(float(frame.mean()) / STEP) for frame in clip]
