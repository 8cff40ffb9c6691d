"""How fine-tuning mixes clips; apart from `mae.training.mixing`, so that a config can be checked without Keras."""

from dataclasses import dataclass

from mae.errors import ConfigError


@dataclass(frozen=True)
class MixingConfig:
    """How training clips are mixed; the defaults are the published ones."""

    mixup: float = 0.8  # of Beta(a, a), which the share is drawn from; 0: no mixup
    cutmix: float = 1.0  # likewise; 0: no cutmix
    probability: float = 1.0  # that a batch is mixed at all
    switch_probability: float = 0.5  # that a mixed batch gets cutmix, where both are on
    label_smoothing: float = 0.1  # of the target's mass that is spread over all classes

    def __post_init__(self) -> None:
        for name in ("mixup", "cutmix"):
            if getattr(self, name) < 0:
                raise ConfigError(f"mixing.{name}={getattr(self, name)} must be 0 (off) or above")
        for name in ("probability", "switch_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"mixing.{name}={getattr(self, name)} must lie in [0, 1]")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"mixing.label_smoothing={self.label_smoothing} must lie in [0, 1)")
