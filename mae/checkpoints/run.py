"""Weights out of the project's own runs."""

from pathlib import Path

from mae.checkpoints.metadata import architecture_from, task_from, training_of_run
from mae.checkpoints.run_state import Checkpoint, Checkpoints, read_checkpoint, run_places
from mae.checkpoints.schema import class_names
from mae.checkpoints.target_scale import KERNEL, TargetScale
from mae.checkpoints.weights import Weights, own_weights
from mae.errors import ConfigError
from mae.options import REGRESSION


def read_run(path: Path) -> Weights:
    """The weights of a run directory (its newest checkpoint) or of one checkpoint file.

    They are their moving averages where the run keeps any. A head that says numbers says them in their own unit.

    Raises:
        ConfigError: nothing there, or something that is not a checkpoint of this project.
    """
    checkpoint = _checkpoint(path)
    architecture = architecture_from(checkpoint.meta["architecture"], checkpoint.path)
    arrays, set_aside = {}, []
    for name, array in checkpoint.evaluated_arrays().items():
        owner, _, inner = name.partition("/")
        if owner in ("pretrainer", "classifier"):
            arrays[inner] = array
        else:
            set_aside.append(name)
    which = ", moving average of the weights" if checkpoint.averaged else ""
    weights = own_weights(arrays, architecture, checkpoint.path, f"run of this project{which}")
    weights.set_aside = set_aside
    weights.training = training_of_run(checkpoint.meta, checkpoint.path)
    weights.id2label = class_names(checkpoint.path, "id2label", checkpoint.meta.get("id2label"))
    weights.task = task_from(checkpoint.meta, checkpoint.path)
    if weights.task == REGRESSION and weights.kind == "classifier":
        outputs = weights.arrays[KERNEL].shape[-1]
        scale = TargetScale.of_run(checkpoint.meta.get("target_scale"), outputs, checkpoint.path)
        weights.arrays |= scale.head_in_unit(weights.arrays)
    return weights


def _checkpoint(path: Path) -> Checkpoint:
    """The newest readable checkpoint of a run directory, or the one that `path` is."""
    if path.is_dir():
        damaged: list[str] = []
        newest = (Checkpoints(place, keep=1).newest(damaged.append) for place in run_places(path))
        checkpoint = next(filter(None, newest), None)
    else:
        checkpoint = read_checkpoint(path)
    if checkpoint is None:
        raise ConfigError(f"{path} holds no checkpoints")
    if missing := {"config", "architecture"} - checkpoint.meta.keys():
        raise ConfigError(f"{checkpoint.path} is no checkpoint of a run: it does not tell its {', '.join(missing)}")
    return checkpoint
