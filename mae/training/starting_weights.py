"""The weights that a new run starts from, compared with its model before anything is built."""

from collections.abc import Sequence
from pathlib import Path

from mae.checkpoints.read import read_weights
from mae.checkpoints.weights import Weights
from mae.errors import ConfigError
from mae.presets import PRESETS
from mae.training.config import RunConfig


def starting_weights(config: RunConfig, fixed: Sequence[str]) -> Weights | None:
    """Those of `init_from`; None: all starts at random.

    Args:
        fixed: sizes of an `Architecture` that loading cannot adapt; frames, pixels, patches and channels it can.

    Raises:
        ConfigError: nothing there, this run itself, or a model of another size; the latter says which to give.
    """
    source = config.init_from
    if source is None:
        return None
    if Path(source).resolve() == Path(config.run_dir).resolve():
        raise ConfigError(f"init_from={source} is this run itself; resume=auto continues it")
    weights = read_weights(source, config.inflate)
    _check_sizes(config, weights, fixed)
    return weights


def _check_sizes(config: RunConfig, weights: Weights, fixed: Sequence[str]) -> None:
    wanted, held = config.model.architecture, weights.sizes()
    told = {name: held[name] for name in fixed if name in held}
    different = [name for name in told if told[name] != getattr(wanted, name)]
    if not different:
        return
    same = [preset for preset, a in PRESETS.items() if all(getattr(a, name) == told[name] for name in told)]
    advice = f"model={same[0]}" if same else " ".join(f"model.{name}={told[name]}" for name in different)
    there = ", ".join(f"{name} {told[name]}" for name in different)
    here = ", ".join(f"{name} {getattr(wanted, name)}" for name in different)
    raise ConfigError(
        f"init_from={config.init_from} has {there}, and model={config.model.preset} has {here}: give {advice}"
    )
