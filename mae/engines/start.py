"""Which engine computes: the one of Keras' backend, chosen here and nowhere else."""

import sys
from typing import TYPE_CHECKING, Any

from mae.engines.engine import Engine, Schedule, Setup, UpdateSettings
from mae.engines.optimizer_config import AdamWConfig
from mae.errors import ConfigError, UnusedDevice, one_line
from mae.options import BACKENDS

if TYPE_CHECKING:
    from mae.engines.optimizer import Optimizer
    from mae.engines.replicas import Replicas


def start_engine(setup: Setup) -> Engine:
    """The engine of Keras' backend, on the devices that the setup names.

    Raises:
        ConfigError: the machine has no such devices, or Keras has a backend that no engine is for.
        UnusedDevice: there is a GPU that cannot be computed on, and `setup.device` is not "cpu".
    """
    if _backend() == "jax":
        from mae.engines.jax.engine import start as start_jax

        return start_jax(setup)
    from mae.engines.tensorflow.engine import start as start_tensorflow

    return start_tensorflow(setup)


def start_engine_for_a_while() -> Engine:
    """The engine of a command that does not take days: on one device, the CPU where a GPU cannot be computed on.

    That is told in one line on stderr.
    """
    try:
        return start_engine(Setup("single"))
    except UnusedDevice as error:
        print(f"NOTE: {one_line(error)}", file=sys.stderr, flush=True)
        return start_engine(Setup("single", device="cpu"))


def split_cpu(devices: int) -> None:
    """Has the engine of Keras' backend see the CPU as so many devices; to be called before anything is computed."""
    if _backend() == "jax":
        from mae.engines.jax.devices import split_cpu as split
    else:
        from mae.engines.tensorflow.strategy import split_cpu as split
    split(devices)


def build_optimizer(
    model: Any,
    learning_rate: Schedule,
    weight_decay: Schedule = 0.05,
    beta_1: float = 0.9,
    beta_2: float = 0.95,
    epsilon: float = 1e-8,
    layer_decay: float | None = None,
    clip_grad_norm: float | None = None,
) -> "Optimizer":
    """AdamW (arXiv:1711.05101) for a built model, under Keras' backend; call it inside the strategy's scope.

    It is what a run updates with, as an optimizer of Keras that `compile` takes. Losses are not scaled, no average is
    kept, and the first gradient that is not finite ends all updates.

    Args:
        model: of `mae.build_pretrainer` or `mae.build_classifier`, or any built model of Keras.
        learning_rate: a number, or a function of the update's number, from 0, such as `mae.warmup_cosine` gives.
        weight_decay: of matrices alone, scaled by the learning rate; a number, or a function of the update's number.
        beta_1: of the mean of the gradients, in [0, 1).
        beta_2: of the mean of their squares, in [0, 1).
        epsilon: beside the root of that.
        layer_decay: learning rate of an encoder block over the next one's; None: the same for all.
        clip_grad_norm: largest norm of the summed gradient; None: no clipping.

    Raises:
        ConfigError: a number out of its range, or a backend of Keras that no engine is for.

    Example:
        >>> import mae
        >>> model = mae.build_classifier("vit_micro", num_classes=2, depth=1)
        >>> optimizer = mae.build_optimizer(model, mae.warmup_cosine(1e-3, 1e-5, 100, 10), layer_decay=0.75)
        >>> sorted({round(group.learning_rate_scale, 4) for group in optimizer.groups})
        [0.5625, 0.75, 1.0]
    """
    from mae.engines.optimizer import Optimizer  # only here: Keras loads its backend

    config = AdamWConfig("adamw", 0.0, None, layer_decay, clip_grad_norm, beta_1, beta_2, epsilon)
    return Optimizer.for_model(model, UpdateSettings(config, learning_rate, weight_decay), replicas_of_backend())


def needs_xla() -> bool:
    """Whether Keras' own compiled models are compiled by XLA or not at all.

    A model that is compiled without it is a graph on TensorFlow, and computed operation by operation on JAX.
    """
    return _backend() == "jax"


def replicas_of_backend() -> "Replicas":
    """What an optimizer asks of the devices, under Keras' backend."""
    if _backend() == "jax":
        from mae.engines.jax.step import WholeArrays

        return WholeArrays()
    from mae.engines.tensorflow.replicas import StrategyReplicas

    return StrategyReplicas()


def _backend() -> str:
    import keras  # only here: Keras loads its backend

    name: str = keras.config.backend()
    if name not in BACKENDS:
        raise ConfigError(f"Keras computes with {name} here, and training needs one of {', '.join(BACKENDS)}")
    return name
