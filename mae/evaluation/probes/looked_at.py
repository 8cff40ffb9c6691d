"""Features of some clips beside the videos they are of, kept for whoever wants to look at them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mae.files import replacing

LOOKED_AT = "features.npz"  # in a run directory
MOST = 1000  # videos that are kept


@dataclass(frozen=True)
class LookedAt:
    """One row of features for each of some videos."""

    features: np.ndarray  # (k, d) float32
    videos: Sequence[str]  # k paths
    labels: np.ndarray | None  # (k,) classes
    class_names: Sequence[str] | None  # by number
    step: int | None = None  # of the training; None: of a frozen encoder

    def write(self, path: Path) -> None:
        """All of the file or nothing; of very many videos the first of equal parts of the list are kept."""
        kept = np.unique(np.linspace(0, len(self.videos) - 1, min(len(self.videos), MOST)).astype(int))
        arrays = {"features": self.features[kept], "videos": np.array([self.videos[i] for i in kept], dtype=np.str_)}
        if self.labels is not None:
            arrays["labels"] = np.asarray(self.labels)[kept]
        if self.class_names is not None:
            arrays["class_names"] = np.array(self.class_names, dtype=np.str_)
        if self.step is not None:
            arrays["step"] = np.array(self.step)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def read(cls, path: Path) -> "LookedAt":
        with np.load(path, allow_pickle=False) as archive:
            return cls(
                archive["features"],
                [str(video) for video in archive["videos"]],
                archive.get("labels"),
                [str(name) for name in archive["class_names"]] if "class_names" in archive else None,
                int(archive["step"]) if "step" in archive else None,
            )

    def label_of(self, index: int) -> str:
        """The class of a video, or nothing."""
        if self.labels is None:
            return ""
        number = int(self.labels[index])
        return str(number) if self.class_names is None else self.class_names[number]
