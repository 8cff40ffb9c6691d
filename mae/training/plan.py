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
        parts, visits = self.num_replicas * c.accumulate, self.num_replicas * c.data.clips_per_video
        batch = f"batch_size={c.batch_size}"
        if c.clips_per_step != c.batch_size:
            batch += f" × data.clips_per_video={c.data.clips_per_video} = {c.clips_per_step} clips"
        if c.clips_per_step % parts:
            raise ConfigError(
                f"{batch} is not divisible by {parts} ({self.num_replicas} replicas × accumulate={c.accumulate})"
            )
        if c.clips_per_step % visits:
            raise ConfigError(
                f"{batch} is not divisible by {visits} "
                f"({self.num_replicas} replicas × data.clips_per_video={c.data.clips_per_video})"
            )
        if c.videos_per_step > self.num_videos:
            whole = math.lcm(parts, visits)  # clips that every replica and part has its share of
            fitting = self.num_videos * c.data.clips_per_video // whole * whole
            advice = f"lower accumulate={c.accumulate}"
            if fitting:
                advice = f"give batch_size={fitting * c.batch_size // c.clips_per_step}"
            raise ConfigError(
                f"batch_size={c.batch_size} is more than the {self.num_videos} videos of the list, and the last "
                f"partial batch is dropped: {advice} or more videos"
            )

    @property
    def clips_per_part(self) -> int:
        """Clips one replica computes at a time."""
        return self.config.clips_per_step // (self.num_replicas * self.config.accumulate)

    @property
    def steps_per_epoch(self) -> int:
        """An epoch visits every video once, but for those left over when it is cut into batches."""
        return self.num_videos // self.config.videos_per_step

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
        epochs = f"{self.total_steps / self.steps_per_epoch:.1f} epochs of {self.steps_per_epoch}"
        schedule = f"{self.warmup_steps} of them up, then {max(self.total_steps - self.warmup_steps, 0)} of a cosine"
        if self.warmup_steps >= self.total_steps:
            schedule = "the run ends before its warm-up does"
        return [
            ("global batch", f"{self._batch} × {self.num_replicas} replicas × {c.accumulate} accumulated"),
            (
                "learning rate",
                f"{rate.base:.4g} = {c.learning_rate:g} × {c.batch_size} / 256, then to {rate.final:.3g}",
            ),
            ("steps", f"{self.total_steps} ({epochs}): {schedule}"),
        ]

    def figures(self) -> dict[str, float]:
        """What follows from the settings, for the monitors."""
        return {
            "clips_per_step": self.config.clips_per_step,
            "clips_per_part": self.clips_per_part,
            "replicas": self.num_replicas,
            "videos": self.num_videos,
            "steps_per_epoch": self.steps_per_epoch,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "peak_learning_rate": self.learning_rate.base,
            "final_learning_rate": self.learning_rate.final,
        }

    @property
    def _batch(self) -> str:
        """The factors of an update: videos and clips of each, where that is more than one; clips a replica computes."""
        c, repeats = self.config, self.config.data.clips_per_video
        videos = f" clips = {c.videos_per_step} videos × {repeats}" if repeats > 1 else ""
        return f"{c.clips_per_step}{videos} = {self.clips_per_part} clips"
