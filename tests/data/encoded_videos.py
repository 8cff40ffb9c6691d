"""Videos written by PyAV, for codecs and containers that OpenCV does not write."""

import os
from fractions import Fraction

import av
import numpy as np

STEP = 6  # grey levels between two frames: more than a lossy codec errs by


def write_video(target, codec, count=40, size=(48, 32), pixels="yuv420p", options=None, pace=10, container=None):
    """Frame i is grey of level 6·i.

    Args:
        target: a path, or a file object that is written from front to end.
        size: width and height.
        pace: frames per second, or when each frame is shown, in ms.
    """
    is_even = isinstance(pace, int)
    clock = Fraction(1, pace if is_even else 1000)
    with av.open(target, "w", format=container) as output:
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


def written_numbers(clip):
    """The numbers of the frames of a clip, told by their mean level."""
    return [round(float(frame.mean()) / STEP) for frame in clip]
