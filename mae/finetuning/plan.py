"""What follows from a fine-tuning's config once the videos and the replicas are counted."""

from dataclasses import dataclass

from mae.errors import ConfigError
from mae.finetuning.config import FinetuneConfig
from mae.training.clips import pixels_row, shown_picture
from mae.training.plan import TrainingPlan


@dataclass(frozen=True)
class FinetunePlan(TrainingPlan):
    """As `TrainingPlan`; raises `ConfigError` also where clips cannot be mixed in pairs."""

    config: FinetuneConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        group = self.mixing_group
        if group is not None and self.clips_per_part % group:
            c, parts = self.config, self.num_replicas * self.config.accumulate
            raise ConfigError(
                f"batch_size={c.batch_size} videos / {self.num_replicas} replicas / accumulate={c.accumulate} cannot "
                f"be mixed in pairs of different videos: give a multiple of {2 * parts}, or mixing.probability=0"
            )

    @property
    def mixing_group(self) -> int | None:
        """Neighbouring clips that are mixed in pairs: two videos, all clips of each; None: none are mixed."""
        return 2 * self.config.data.clips_per_video if self.config.mixes else None

    @property
    def validate_every(self) -> int | None:
        """Steps between validations."""
        epochs = self.config.validate_every
        return None if epochs is None else max(round(epochs * self.steps_per_epoch), 1)

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of each figure, for the console."""
        c, m = self.config, self.config.mixing
        a, stride = c.model.architecture, c.dataset.frame_stride
        mixing = f"mixup {m.mixup:g}, cutmix {m.cutmix:g}, probability {m.probability:g}" if c.mixes else "none"
        return [
            ("clip", f"{a.num_frames} frames, stride {stride}, {c.data.sampler}, {shown_picture(c)}"),
            *pixels_row(c),
            ("mixing", f"{mixing}; label smoothing {m.label_smoothing:g}"),
            *super().rows(),
        ]
