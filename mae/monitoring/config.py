"""What may be configured about monitoring."""

from collections.abc import Sequence
from dataclasses import dataclass

from mae.errors import ConfigError, check_choice
from mae.monitoring.tensorboard_run import check_tensorboard
from mae.options import MONITORS, WANDB_MODES


@dataclass(frozen=True)
class WandbConfig:
    """Weights & Biases."""

    mode: str  # "auto": online if an API key is configured, else offline | online | offline | disabled
    project: str
    name: str | None  # of the run; null: the run directory's

    def __post_init__(self) -> None:
        check_choice("wandb.mode", self.mode, WANDB_MODES)


def check_monitors(monitors: Sequence[str], wandb: WandbConfig) -> None:
    """Raises `ConfigError` for a view that does not exist, or that cannot be written, or W&B asked for and left out."""
    for name in monitors:
        check_choice("monitor", name, MONITORS)
    if "tensorboard" in monitors:
        check_tensorboard()
    if "wandb" not in monitors and wandb.mode in ("online", "offline"):
        raise ConfigError(
            f"wandb.mode={wandb.mode}, but monitor=[{','.join(monitors)}] leaves W&B out: "
            f"give 'monitor=[{','.join(['wandb', *monitors])}]'"
        )
