"""Thousands of files, one after the other, in bounded memory."""

import contextlib
import itertools
import json
import os
import zipfile

import cv2
import numpy as np
import pytest
from encoded_videos import write_video

from mae.data.videos.packed_video import member_name
from mae.data.videos.read import read_frames
from mae.errors import BadVideo

WARM_UP, OPENS = 500, 5000


def resident_megabytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("soak")
    size = (160, 120)
    picture = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8))[1].tobytes()
    write_video(str(root / "a.mkv"), "ffv1", size=size)
    write_video(str(root / "a.mp4"), "libx264", size=size)
    write_video(str(root / "a.webm"), "libvpx-vp9", size=size, options={"deadline": "realtime", "cpu-used": "8"})
    write_video(str(root / "a.avi"), "mjpeg", size=size, pixels="yuvj420p")
    write_video(str(root / "av1.mp4"), "libsvtav1", size=size, options={"preset": "10", "svtav1-params": "lp=1"})
    (root / "cut.mp4").write_bytes((root / "a.mp4").read_bytes()[:900])
    (root / "frames").mkdir()
    for i in range(20):
        (root / "frames" / f"{i}.jpg").write_bytes(picture)
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        for i in range(20):
            archive.writestr(member_name(i), picture)
        about = {"format": "mae-video frames", "version": 2, "count": 20, "frames_per_second": 10}
        archive.writestr("video.json", json.dumps(about))
    return sorted(str(path) for path in root.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="resident memory is read from Linux' /proc")
@pytest.mark.parametrize("timeout", [None, 60])
def test_memory_does_not_grow(videos, timeout):
    used = []
    files = len(os.listdir("/proc/self/fd"))
    for opened, path in zip(range(OPENS + 1), itertools.cycle(videos), strict=False):
        if opened >= WARM_UP and opened % 500 == 0:
            used.append(resident_megabytes())
        expected = pytest.raises(BadVideo) if path.endswith("cut.mp4") else contextlib.nullcontext()
        with expected:
            read_frames(path, lambda count: np.arange(0, count, 4), lambda _, frame: [frame[:64, :64]], None, timeout)
    assert max(used) - used[0] < 30, used
    assert len(os.listdir("/proc/self/fd")) <= files + 1
    print("resident MB after every 500 opens:", [round(megabytes, 1) for megabytes in used])
