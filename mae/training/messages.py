"""What a run tells the person who started it, besides its progress."""

import shlex
from pathlib import Path

import tensorflow as tf

from mae.config import PretrainConfig
from mae.data.lists.index import VideoIndex
from mae.models.pretrainer import Pretrainer
from mae.training.optimizer import Optimizer
from mae.training.strategy import describe_devices


def run_rows(
    config: PretrainConfig,
    index: VideoIndex,
    optimizer: Optimizer,
    strategy: tf.distribute.Strategy,
    model: Pretrainer,
) -> list[tuple[str, str]]:
    """Name and value of what a run works with, for the table at its start; a row for each parameter group."""
    millions = sum(group.size for group in optimizer.groups) / 1e6
    dtype = model.dtype_policy.compute_dtype
    rows = [
        ("list hash", index.digest[:16]),
        ("first video", index.paths[0]),
        ("last video", index.paths[-1]),
        ("model", f"{config.model.preset}, {millions:.1f} M parameters, computes in {dtype}"),
        ("target", config.target),
        ("optimizer", config.optimizer.name),
        ("devices", describe_devices(strategy)),
    ]
    for group in optimizer.groups:
        decay = "weight decay" if group.decays else "no decay"
        scale = f"learning rate × {group.learning_rate_scale:.4g}"
        size = f"{group.size} values in {len(group.variables)} tensors"
        rows.append((f"parameters: {group.layer}", f"{scale}, {decay}: {size}"))
    return rows


def verdict(loss: float, trivial: float, target: str) -> str:
    """The loss on the probe batch beside that of a predictor that learnt nothing."""
    relation = f"{100 * (1 - loss / trivial):.0f} % under" if loss < trivial else "NOT under"
    return (
        f"probe loss {loss:.4f} (target {target}): {relation} the {trivial:.4f} of the trivial predictor, "
        "which always says the average"
    )


def goodbye(run_dir: Path, index: VideoIndex) -> str:
    """Where the run is, and the command to type next."""
    return (
        f"run: {run_dir} (pictures in reconstructions/). "
        f"Next: python -m mae.reconstruct checkpoint={shlex.quote(str(run_dir))} video={shlex.quote(index.paths[0])}"
    )


def tell_rendering(done: int, total: int) -> None:
    """Progress of rendering the demo set: its beginning and its end."""
    if done in (1, total):
        print(f"rendered {done} of {total} videos of the demo set", flush=True)
