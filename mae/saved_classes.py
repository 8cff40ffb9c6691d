"""The classes of this package that a `.keras` file may name, found by Keras once `mae` is imported.

Keras looks such a class up under the name it was registered with, which happens when its module is imported, and
imports no module but its own. Importing `mae` must not load Keras, so what it leaves there is a name and where its
class is; and should Keras be imported later, it is left there as soon as that is done.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

HOMES = {
    "Classifier": "mae.models.classifier",
    "Decoder": "mae.models.decoder",
    "Encoder": "mae.models.encoder",
    "Optimizer": "mae.engines.optimizer",
    "Pretrainer": "mae.models.pretrainer",
    "VideoEncoder": "mae.models.video_encoder",
    "VideoPreprocessor": "mae.checkpoints.preprocessor",
    "WarmupCosine": "mae.training.keras_schedule",
}


class _Later:
    """Stands for a class whose module is imported when a file names it; that puts the class in its place."""

    def __init__(self, name: str) -> None:
        self._name = name

    def home(self) -> Any:
        """The class itself."""
        return getattr(import_module(HOMES[self._name]), self._name)

    def from_config(self, config: dict[str, Any]) -> Any:
        return self.home().from_config(config)


class _WhenKerasComes(MetaPathFinder):
    """Finds `keras` as it would be found anyway, and has what follows its import done."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        loader: Any = None if spec is None else spec.loader
        if loader is not None:
            execute = loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                _register()

            loader.exec_module = execute_and_register
        return spec


def register_saved_classes() -> None:
    """Has Keras find them, now or, where it is not imported yet, once it is."""
    if "keras" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _WhenKerasComes())


def _register() -> None:
    from keras.saving import get_custom_objects

    for name in HOMES:
        get_custom_objects().setdefault(f"mae>{name}", _Later(name))
