"""What may be configured about the probes of a frozen encoder (`probe.`)."""

from dataclasses import dataclass

from mae.errors import ConfigError, check_at_least, check_choice
from mae.options import CLIP_KINDS, FEATURE_DTYPES

KINDS = ("linear", "attentive", "knn")


@dataclass(frozen=True)
class ProbeConfig:
    """Settings `probe.`, of mode=probe."""

    kinds: list[str]  # of KINDS, each once
    labels_per_class: int | None  # training videos used of each class, drawn with the seed; null: all
    seeds: int  # repetitions of what is random, with other draws
    neighbours: int  # that vote in knn
    linear_epochs: int  # visits of the linear probe to each training video
    linear_steps: int  # updates that it makes at least
    attentive_epochs: int  # likewise of the attentive probe
    attentive_steps: int
    attentive_learning_rate: float
    token_dtype: str  # of the token features on disk
    sampler: str | None  # dense | segments: frames of a clip; null: as the encoder was trained, else as data.sampler

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", list(self.kinds))  # a plain list, whatever composed it
        if not self.kinds:
            raise ConfigError(f"probe.kinds=[] probes nothing: give some of {', '.join(KINDS)}")
        for kind in self.kinds:
            check_choice("probe.kinds", kind, KINDS)
        if len(set(self.kinds)) < len(self.kinds):
            raise ConfigError(f"probe.kinds=[{','.join(self.kinds)}] names one twice")
        numbers = ("labels_per_class", "seeds", "neighbours")
        trained = ("linear_epochs", "linear_steps", "attentive_epochs", "attentive_steps")
        check_at_least(1, self, *numbers, *trained, prefix="probe.")
        if self.attentive_learning_rate <= 0:
            raise ConfigError(f"probe.attentive_learning_rate={self.attentive_learning_rate} must be above 0")
        check_choice("probe.token_dtype", self.token_dtype, FEATURE_DTYPES)
        if self.sampler is not None:
            check_choice("probe.sampler", self.sampler, CLIP_KINDS)

    @property
    def needs_tokens(self) -> bool:
        """Whether pooled features are not enough."""
        return "attentive" in self.kinds
