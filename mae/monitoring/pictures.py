"""The picture that a command was asked for: a sheet of frames or a moving one, as the name of its file ends."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mae.errors import ConfigError, check_choice
from mae.monitoring.moving import FORMATS as MOVING
from mae.monitoring.moving import save_moving
from mae.monitoring.panels import save_png

STILL = ".png"
FORMATS = (STILL, *MOVING)


def check_output(output: str | Path) -> None:
    """Raises `ConfigError` unless `output=` ends as a picture does and lies in a directory that is there."""
    path = Path(output)
    check_choice("format of output=", path.suffix, FORMATS)
    if not path.parent.is_dir():
        raise ConfigError(f"output={output}: there is no directory {path.parent}")


def save_picture(path: Path, sheet: Callable[[], np.ndarray], movie: Callable[[], np.ndarray]) -> None:
    """Draws and writes one of the two; the whole file or nothing.

    Args:
        sheet: makes (height, width, 3) uint8 RGB.
        movie: makes (T, height, width, 3) uint8 RGB.

    Raises:
        ConfigError: `output=` cannot be written.
    """
    try:
        if path.suffix == STILL:
            save_png(path, sheet())
        else:
            save_moving(path, movie())
    except OSError as error:
        raise ConfigError(f"output={path} cannot be written ({error.strerror})") from error
