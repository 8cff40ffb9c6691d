"""The `ffmpeg` program: it makes videos, and says what their frames are."""

import shutil
import subprocess

import imageio_ffmpeg
import numpy as np

FFMPEG = shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()


def ffmpeg(folder, arguments):
    """Runs it in a folder; `arguments` are separated by blanks."""
    command = [FFMPEG, "-v", "error", "-y", "-threads", "1", *arguments.split()]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def frames_by_ffmpeg(path, options=""):
    """All that it shows of a file without filters, in order: (T, H, W, 3) uint8 RGB. Damage is no error.

    Pictures come as PPM, which says its size: "P6", width and height, 255, then the bytes.
    """
    how = "-map 0:V:0 -fps_mode passthrough -c:v ppm -pix_fmt rgb24 -f image2pipe -"
    command = [FFMPEG, "-v", "quiet", *options.split(), "-threads", "1", "-i", str(path), *how.split()]
    content, at, frames = subprocess.run(command, stdout=subprocess.PIPE).stdout, 0, []
    while at < len(content):
        kind, size, levels = content[at : at + 40].split(b"\n")[:3]
        assert (kind, levels) == (b"P6", b"255")
        at += len(kind) + len(size) + len(levels) + 3
        width, height = map(int, size.split())
        frames.append(np.frombuffer(content, np.uint8, 3 * width * height, at).reshape(height, width, 3))
        at += 3 * width * height
    return np.array(frames)
