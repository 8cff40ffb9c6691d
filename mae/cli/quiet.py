"""What libraries would print by themselves, kept off the console."""

import os
import re
import sys
import tempfile
from pathlib import Path

from mae.cli.without import without

# Information and warnings; and that there is no GPU where none is built in, which `devices` in the run's table says.
_NO_DRIVER = "" if Path("/dev/nvidiactl").exists() else "|E0000 .*cuInit"
_OPENCV_ERROR = 2  # LOG_LEVEL_ERROR, which OpenCV 4 does not name in Python
_STARTUP_NOISE = re.compile(rf"[IW]0000 |WARNING: All log messages before absl{_NO_DRIVER}")


def quiet_libraries() -> None:
    """Keeps start-up messages of TensorFlow and per-file messages of FFmpeg off the console.

    Called before either library is imported, never on import of the package. Levels that the user set in the
    environment stay.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # What is wrong with a file, we say ourselves.
    if "OPENCV_LOG_LEVEL" not in os.environ:
        os.environ["OPENCV_LOG_LEVEL"] = "ERROR"
        if "cv2" in sys.modules:  # which read its environment when it was imported
            cv2 = sys.modules["cv2"]
            logging = cv2.utils.logging if hasattr(cv2.utils, "logging") else cv2  # of OpenCV 5, and of OpenCV 4
            logging.setLogLevel(_OPENCV_ERROR)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET


def import_tensorflow() -> None:
    """Imports TensorFlow and finds its devices without the lines it logs before its own log level is in force.

    They go straight to the process' stderr, so that is what is caught; every other line is passed on.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            with without("matplotlib", "sklearn"):  # two seconds, for a gallery and for wrappers of Keras
                import tensorflow as tf

            tf.config.list_physical_devices()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            caught.seek(0)
            lines = caught.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.writelines(line for line in lines if not _STARTUP_NOISE.match(line))
