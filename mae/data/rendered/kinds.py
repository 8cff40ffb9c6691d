"""The kinds of rendered data sets: what each shows, apart from how its files are made."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mae.data.config import CameraDataset, ObjectsDataset, OrderDataset, RenderedDataset, ShapesDataset
from mae.data.rendered import camera, objects, order, shapes
from mae.data.rendered.pictures import load_pictures
from mae.errors import check_choice


@dataclass(frozen=True)
class Rendering:
    """What the training videos of a data set are rendered from, or those it holds out."""

    kind: str  # names folders in the cache, and the purpose of the random draws
    version: int  # raise it when the same seed gives other videos, or other files
    ending: str  # of the files: .avi, or .npy, which needs no decoding and twice the space
    all_classes: tuple[str, ...]  # a video is drawn by the index of its class here, whichever classes are rendered
    classes: tuple[str, ...]  # those that are
    render_video: Callable[[str, np.random.Generator], np.ndarray]  # of a class: uint8 (T, H, W, 3) RGB
    variant: dict[str, str] = field(default_factory=dict)  # by what sets of the same count and seed differ
    usual: dict[str, str] = field(default_factory=dict)  # variants that folders' names leave out, and old manifests


def rendering(config: RenderedDataset, held_out: bool) -> Rendering:
    """The row of `KINDS` for these settings.

    Raises:
        ConfigError: a setting that its kind does not have.
    """
    return KINDS[type(config)](config, held_out)


def _shapes(config: ShapesDataset, held_out: bool) -> Rendering:
    check_choice("dataset.classes", config.classes, shapes.CLASS_SETS)
    check_choice("dataset.background", config.background, shapes.BACKGROUNDS)
    return Rendering(
        kind="shapes",
        version=1,
        ending=".avi",
        all_classes=shapes.CLASS_NAMES,
        classes=shapes.CLASS_SETS[config.classes],
        render_video=lambda name, rng: shapes.render_video(name, rng, config.background),
        variant={"background": config.background, "classes": config.classes},
        usual={"background": "ramp", "classes": "all"},
    )


def _of_pictures(
    kind: str, classes: tuple[str, ...], render_video: Callable[[str, np.random.Generator, bool], np.ndarray]
) -> Callable[[RenderedDataset, bool], Rendering]:
    """The row of a kind whose held-out videos show other pictures."""

    def row(config: RenderedDataset, held_out: bool) -> Rendering:
        load_pictures(held_out)
        return Rendering(
            kind=kind,
            version=2,
            ending=".npy",
            all_classes=classes,
            classes=classes,
            render_video=lambda name, rng: render_video(name, rng, held_out),
            variant={"pictures": "held_out" if held_out else "training"},
            usual={"pictures": "training"},
        )

    return row


KINDS: dict[type[RenderedDataset], Callable[[Any, bool], Rendering]] = {
    ShapesDataset: _shapes,
    CameraDataset: _of_pictures("camera", camera.CLASS_NAMES, camera.render_video),
    ObjectsDataset: _of_pictures("objects", objects.CLASS_NAMES, objects.render_video),
    OrderDataset: _of_pictures("order", order.CLASS_NAMES, order.render_video),
}
