"""What follows from the config once the videos and the replicas are counted."""

import math
from dataclasses import dataclass

from mae.errors import ConfigError
from mae.training.config import RunConfig
from mae.training.schedules import WarmupCosine, warmup_cosine


@dataclass(frozen=True)
class TrainingPlan:
    """Every derived figure of a run. Raises `ConfigError` for figures that do not fit together."""

    config: RunConfig
    num_videos: int
    num_replicas: int

    def __post_init__(self) -> None:
        c = self.config
        parts, clips = self.num_replicas * c.accumulate, c.data.clips_per_video
        if c.batch_size % parts:
            raise ConfigError(
                f"batch_size={c.batch_size} is not divisible by {parts} "
                f"({self.num_replicas} replicas × accumulate={c.accumulate})"
            )
        if c.batch_size % (self.num_replicas * clips):
            raise ConfigError(
                f"batch_size={c.batch_size} is not divisible by {self.num_replicas * clips} "
                f"({self.num_replicas} replicas × data.clips_per_video={clips})"
            )
        if c.batch_size > self.num_videos * clips:
            parts = math.lcm(parts, self.num_replicas * clips)
            fitting = self.num_videos * clips // parts * parts
            advice = f"give batch_size={fitting}" if fitting else f"lower accumulate={c.accumulate}"
            raise ConfigError(
                f"batch_size={c.batch_size} is more than the {self.num_videos} videos of the list, and the last "
                f"partial batch is dropped: {advice} or more videos"
            )

    @property
    def clips_per_part(self) -> int:
        """Clips one replica computes at a time."""
        return self.config.batch_size // (self.num_replicas * self.config.accumulate)

    @property
    def visits(self) -> int:
        """Videos read for an update."""
        return self.config.batch_size // self.config.data.clips_per_video

    @property
    def steps_per_epoch(self) -> int:
        """An epoch visits every video once, but for those left over when it is cut into batches."""
        return self.num_videos // self.visits

    @property
    def total_steps(self) -> int:
        return self.config.steps or (self.config.epochs or 0) * self.steps_per_epoch

    @property
    def warmup_steps(self) -> int:
        if self.config.warmup_steps is not None:
            return self.config.warmup_steps
        return math.floor(self.config.warmup_epochs * self.steps_per_epoch)

    @property
    def learning_rate(self) -> WarmupCosine:
        """Of each step; peak and minimum scaled by batch_size / 256."""
        scale = self.config.batch_size / 256
        return warmup_cosine(
            base=self.config.learning_rate * scale,
            final=self.config.min_learning_rate * scale,
            total_steps=self.total_steps,
            warmup_steps=self.warmup_steps,
        )

    @property
    def weight_decay(self) -> float | WarmupCosine:
        """Of each step."""
        optimizer = self.config.optimizer
        if optimizer.final_weight_decay is None:
            return optimizer.weight_decay
        return warmup_cosine(optimizer.weight_decay, optimizer.final_weight_decay, self.total_steps, warmup_steps=0)

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of each figure, for the console."""
        c, rate = self.config, self.learning_rate
        schedule = f"{self.warmup_steps} steps up, {max(self.total_steps - self.warmup_steps, 0)} steps cosine"
        if self.warmup_steps >= self.total_steps:
            schedule += " (the run ends before its warm-up does)"
        return [
            (
                "global batch",
                f"{c.batch_size} = {self.clips_per_part} clips × {self.num_replicas} replicas × "
                f"{c.accumulate} accumulated"
                + (f", {c.data.clips_per_video} of each video" if c.data.clips_per_video > 1 else ""),
            ),
            (
                "learning rate",
                f"{rate.base:.4g} = {c.learning_rate:g} × {c.batch_size} / 256, then to {rate.final:.3g}",
            ),
            ("schedule", schedule),
            ("steps per epoch", f"{self.steps_per_epoch}"),
            ("steps", f"{self.total_steps} ({self.total_steps / self.steps_per_epoch:.1f} epochs)"),
        ]
