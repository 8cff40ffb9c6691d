"""Models out of the project's own runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mae.config import ModelConfig
from mae.errors import ConfigError
from mae.models.pretrainer import Pretrainer
from mae.training.run_state import Checkpoints, assign_arrays, named_variables, read_checkpoint


@dataclass(frozen=True)
class TrainedModel:
    """A pre-trained model, the config of its run and the steps it was trained for."""

    model: Pretrainer
    config: dict[str, Any]
    step: int
    path: Path


def load_run(path: str | Path) -> TrainedModel:
    """The model of a run directory (its newest checkpoint) or of one checkpoint file.

    Raises:
        ConfigError: nothing there, or something that is not a checkpoint of this project.
    """
    path = Path(path)
    if path.is_dir():
        for directory in (path / "checkpoints", path):
            if paths := Checkpoints(directory, keep=1).paths():
                path = paths[-1]
                break
        else:
            raise ConfigError(f"{path} holds no checkpoints")
    checkpoint = read_checkpoint(path)
    config = checkpoint.meta["config"]
    model = Pretrainer(ModelConfig(**config["model"]).architecture, name="pretrainer")
    model.build()
    # The optimizer's slots are left aside.
    weights = {name: array for name, array in checkpoint.arrays.items() if name in named_variables(model.variables)}
    assign_arrays(model.variables, weights, checkpoint.path)
    return TrainedModel(model, config, checkpoint.step, path)
