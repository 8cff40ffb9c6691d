"""What may be configured about an optimizer: a dataclass for each choice."""

from dataclasses import dataclass

from mae.errors import ConfigError


@dataclass(frozen=True)
class OptimizerConfig:
    """What every choice has. Decay is decoupled and scaled by the layer's rate, whatever computes the update."""

    name: str
    weight_decay: float  # matrices only; biases, norms, mask token and learnable positions never decay
    final_weight_decay: float | None  # reached by a cosine over the run; null: constant
    layer_decay: float | None  # learning rate of a block over the next one's; null: the same for all
    clip_grad_norm: float | None  # largest global gradient norm; null: no clipping

    def __post_init__(self) -> None:
        for name in ("beta_1", "beta_2", "momentum"):
            if not 0 <= getattr(self, name, 0) < 1:
                raise ConfigError(f"optimizer.{name}={getattr(self, name)} must lie in [0, 1)")
        for name in ("epsilon", "layer_decay", "clip_grad_norm", "rms"):
            value = getattr(self, name, None)
            if value is not None and value <= 0:
                raise ConfigError(f"optimizer.{name}={value} must be above 0")
        if self.weight_decay < 0 or (self.final_weight_decay or 0) < 0:
            raise ConfigError("optimizer.weight_decay and optimizer.final_weight_decay must not be negative")


@dataclass(frozen=True)
class AdamWConfig(OptimizerConfig):
    """AdamW (arXiv:1711.05101) as PyTorch computes it."""

    beta_1: float  # of the mean of the gradients
    beta_2: float  # of the mean of their squares
    epsilon: float


@dataclass(frozen=True)
class LambConfig(OptimizerConfig):
    """LAMB (arXiv:1904.00962): Adam's update of a tensor, scaled to the norm of that tensor."""

    beta_1: float
    beta_2: float
    epsilon: float


@dataclass(frozen=True)
class LionConfig(OptimizerConfig):
    """Lion (arXiv:2302.06675): the sign of a momentum; half of Adam's memory."""

    beta_1: float  # share of the momentum in the update's direction
    beta_2: float  # of the momentum

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta_1 == 0:
            raise ConfigError(f"optimizer.beta_1={self.beta_1} must be above 0 for lion")


@dataclass(frozen=True)
class MuonConfig(OptimizerConfig):
    """Muon (arXiv:2502.16982): orthogonalised momentum for the matrices inside the model, Adam for the rest."""

    momentum: float  # Nesterov's, of the matrices
    ns_steps: int  # Newton-Schulz iterations that orthogonalise it
    rms: float  # of a matrix's update; 0.2 is about Adam's, so its learning rates and decays fit
    beta_1: float  # here and below: of the Adam that updates everything else
    beta_2: float
    epsilon: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ns_steps < 1:
            raise ConfigError(f"optimizer.ns_steps={self.ns_steps} must be at least 1")


OPTIMIZERS: dict[str, type[OptimizerConfig]] = {
    "adamw": AdamWConfig,
    "lamb": LambConfig,
    "lion": LionConfig,
    "muon": MuonConfig,
}
