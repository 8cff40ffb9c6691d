"""Self-supervised video pre-training in Keras 3 and TensorFlow.

The names below are imported on first use, so that `import mae` costs nothing and a mistyped command is told so
before TensorFlow is loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    "VideoPreprocessor": "mae.checkpoints.preprocessor",
    "pretrain": "mae.library.runs",
    "finetune": "mae.library.runs",
    "Run": "mae.library.runs",
    "Callback": "mae.training.caller",
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

if TYPE_CHECKING:  # what editors and type checkers complete
    from mae.checkpoints.load import load_checkpoint as load_checkpoint
    from mae.checkpoints.preprocessor import VideoPreprocessor as VideoPreprocessor
    from mae.checkpoints.save import save_checkpoint as save_checkpoint
    from mae.data.videos.read import read_video as read_video
    from mae.engines.start import build_optimizer as build_optimizer
    from mae.library.clip import Clip as Clip
    from mae.library.clip import augmentation as augmentation
    from mae.library.dataset import ClipDataset as ClipDataset
    from mae.library.dataset import Reading as Reading
    from mae.library.dataset import load_dataset as load_dataset
    from mae.library.maskings import BlockMasking as BlockMasking
    from mae.library.maskings import FrameMasking as FrameMasking
    from mae.library.maskings import RandomMasking as RandomMasking
    from mae.library.maskings import RunningCellMasking as RunningCellMasking
    from mae.library.maskings import TubeMasking as TubeMasking
    from mae.library.pretrained import ModelCard as ModelCard
    from mae.library.pretrained import from_pretrained as from_pretrained
    from mae.library.pretrained import save_pretrained as save_pretrained
    from mae.library.runs import Run as Run
    from mae.library.runs import finetune as finetune
    from mae.library.runs import pretrain as pretrain
    from mae.masking import block_mask as block_mask
    from mae.masking import frame_mask as frame_mask
    from mae.masking import random_mask as random_mask
    from mae.masking import running_cell_mask as running_cell_mask
    from mae.masking import tube_mask as tube_mask
    from mae.models.classifier import build_classifier as build_classifier
    from mae.models.pretrainer import build_pretrainer as build_pretrainer
    from mae.models.pretrainer import pretraining_loss as pretraining_loss
    from mae.presets import architecture as architecture
    from mae.training.caller import Callback as Callback
    from mae.training.keras_schedule import warmup_cosine as warmup_cosine

__all__ = list(_HOMES)

register_saved_classes()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mae' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
