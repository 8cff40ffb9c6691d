"""What follows from a fine-tuning's config once the videos and the replicas are counted."""

from dataclasses import dataclass

from mae.errors import ConfigError
from mae.finetune_config import FinetuneConfig
from mae.training.plan import TrainingPlan


@dataclass(frozen=True)
class FinetunePlan(TrainingPlan):
    """As `TrainingPlan`; raises `ConfigError` also where clips cannot be mixed in pairs."""

    config: FinetuneConfig  # type: ignore[assignment]

    def __post_init__(self) -> None:
        super().__post_init__()
        group = self.mixing_group
        if group is not None and self.clips_per_part % group:
            c = self.config
            raise ConfigError(
                f"{self.clips_per_part} clips (batch_size={c.batch_size} / {self.num_replicas} replicas / "
                f"accumulate={c.accumulate}) cannot be mixed in pairs of different videos: give a multiple of {group}, "
                "or mixing.probability=0"
            )

    @property
    def mixing_group(self) -> int | None:
        """Neighbouring clips that are mixed in pairs: two videos, all clips of each; None: none are mixed."""
        return 2 * self.config.data.clips_per_video if self.config.mixes else None

    @property
    def evaluate_every(self) -> int | None:
        """Steps between validations."""
        epochs = self.config.evaluate_every
        return None if epochs is None else max(round(epochs * self.steps_per_epoch), 1)

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of each figure, for the console."""
        c, a, rate, m = self.config, self.config.model.architecture, self.learning_rate, self.config.mixing
        repeats = f", {c.data.clips_per_video} of each video" if c.data.clips_per_video > 1 else ""
        schedule = f"{self.warmup_steps} steps up, {max(self.total_steps - self.warmup_steps, 0)} steps cosine"
        if self.warmup_steps >= self.total_steps:
            schedule += " (the run ends before its warm-up does)"
        mixing = f"mixup {m.mixup:g}, cutmix {m.cutmix:g}, probability {m.probability:g}" if c.mixes else "none"
        return [
            ("clip", f"{a.num_frames} frames, stride {c.dataset.frame_stride}, {a.image_size}×{a.image_size} pixels"),
            ("frames", c.data.sampler),
            ("mixing", f"{mixing}; label smoothing {m.label_smoothing:g}"),
            (
                "global batch",
                f"{c.batch_size} = {self.clips_per_part} clips × {self.num_replicas} replicas × "
                f"{c.accumulate} accumulated{repeats}",
            ),
            ("clips in memory", str(self.footprint)),
            (
                "learning rate",
                f"{rate.base:.4g} = {c.learning_rate:g} × {c.batch_size} / 256, then to {rate.final:.3g}",
            ),
            ("schedule", schedule),
            ("steps per epoch", f"{self.steps_per_epoch}"),
            ("steps", f"{self.total_steps} ({self.total_steps / self.steps_per_epoch:.1f} epochs)"),
            ("test views", f"{c.test.clips} clips ({c.test.sampler}) × {c.test.crops} crops"),
        ]
