"""Self-supervised video pre-training in Keras 3 and TensorFlow.

The names below are imported on first use, so that `import mae` costs nothing and a mistyped command is told so
before TensorFlow is loaded.
"""

from importlib import import_module
from typing import Any

from mae.saved_classes import register_saved_classes

__version__ = "0.1.0"

_HOMES = {
    "architecture": "mae.presets",
    "build_pretrainer": "mae.models.pretrainer",
    "pretraining_loss": "mae.models.pretrainer",
    "build_classifier": "mae.models.classifier",
    "load_checkpoint": "mae.checkpoints.load",
    "save_checkpoint": "mae.checkpoints.save",
    "from_pretrained": "mae.library.pretrained",
    "save_pretrained": "mae.library.pretrained",
    "ModelCard": "mae.library.pretrained",
    "Clip": "mae.library.clip",
    "augmentation": "mae.library.clip",
    "load_dataset": "mae.library.dataset",
    "ClipDataset": "mae.library.dataset",
    "Reading": "mae.library.dataset",
    "VideoPreprocessor": "mae.library.preprocessor",
    "TubeMasking": "mae.library.maskings",
    "RandomMasking": "mae.library.maskings",
    "FrameMasking": "mae.library.maskings",
    "BlockMasking": "mae.library.maskings",
    "RunningCellMasking": "mae.library.maskings",
    "tube_mask": "mae.masking",
    "random_mask": "mae.masking",
    "frame_mask": "mae.masking",
    "block_mask": "mae.masking",
    "running_cell_mask": "mae.masking",
    "read_video": "mae.data.videos.read",
    "build_optimizer": "mae.engines.start",
    "warmup_cosine": "mae.training.keras_schedule",
}

__all__ = list(_HOMES)

register_saved_classes()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mae' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
