"""TensorBoard as a copy of the local records: event files in `tensorboard/`, written without TensorFlow."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mae.cli.commands import to_install
from mae.errors import ConfigError

FOLDER = "tensorboard"  # in the run directory
_FLUSH_S = 10


def check_tensorboard() -> None:
    """Raises `ConfigError` where the library that writes event files is not installed."""
    if find_spec("tensorboardX") is None:
        raise ConfigError(f"monitor=[tensorboard] needs tensorboardX: {to_install('tensorboard')}")


class TensorBoardRun:
    """Event files of one start of a run, a `mae.monitoring.background.View`."""

    def __init__(self, run_dir: Path, config: Mapping[str, Any], first_step: int) -> None:
        """
        Args:
            config: shown as text.
            first_step: that this start logs; what earlier ones have of it and of later ones, TensorBoard forgets.
        """
        from tensorboardX import SummaryWriter

        self._folder = run_dir / FOLDER
        purged = first_step if self._folder.exists() else None
        # TensorBoard reads files in the order of their names, which hold nothing finer than a second.
        unique = f".{len(list(self._folder.glob('*'))):06}"
        self._writer = SummaryWriter(str(self._folder), purge_step=purged, flush_secs=_FLUSH_S, filename_suffix=unique)
        text = OmegaConf.to_yaml(OmegaConf.create(dict(config)))
        self._writer.add_text("config", "".join(f"    {line}\n" for line in text.splitlines()), first_step)

    def describe(self) -> str:
        return f"TensorBoard: tensorboard --logdir {self._folder}"

    def log(self, record: Mapping[str, Any]) -> None:
        """A field `loss` becomes `train/loss`, a name with a slash stays; only numbers are shown."""
        for name, value in record.items():
            if name != "step" and isinstance(value, int | float):
                self._writer.add_scalar(name if "/" in name else f"train/{name}", float(value), record["step"])

    def log_picture(self, step: int, key: str, path: Path) -> None:
        """The bytes of a PNG or GIF as they are; TensorBoard knows no other moving pictures."""
        from tensorboardX.proto.summary_pb2 import Summary

        if path.suffix not in (".png", ".gif"):
            return
        data = path.read_bytes()
        height, width = _size(path)
        image = Summary.Image(encoded_image_string=data, height=height, width=width, colorspace=3)
        self._writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=key, image=image)]), step)

    def finish(self, exit_code: int) -> None:
        self._writer.close()


def _size(path: Path) -> tuple[int, int]:
    """Height and width of a picture."""
    from PIL import Image

    with Image.open(path) as picture:
        return picture.height, picture.width
