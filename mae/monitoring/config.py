"""What may be configured about monitoring."""

from dataclasses import dataclass

from mae.errors import check_choice
from mae.options import WANDB_MODES


@dataclass(frozen=True)
class WandbConfig:
    """Weights & Biases."""

    mode: str  # "auto": online if an API key is configured, else offline | online | offline | disabled
    project: str
    name: str | None  # of the run; null: the run directory's

    def __post_init__(self) -> None:
        check_choice("wandb.mode", self.mode, WANDB_MODES)
