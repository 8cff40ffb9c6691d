"""What Keras knows of functional models alone, for models that are classes: inputs, shapes, exports, frozen layers."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import keras

# The name of each input, and its shape without the batch and dtype.
InputShapes = dict[str, tuple[tuple[int | None, ...], str]]


class WholeModel(keras.Model):
    """A built model that says what it takes and gives before it is called."""

    def input_shapes(self) -> InputShapes:
        """What `call` takes, in its order."""
        raise NotImplementedError

    def __dir__(self) -> list[str]:
        """Without `layers`: Keras names weights in files by the first attribute in `dir` that leads to them."""
        return [name for name in super().__dir__() if name != "layers"]

    @cached_property
    def inputs(self) -> list[keras.KerasTensor]:
        """Symbolic inputs: `keras.Model(model.inputs, model(*model.inputs))` is a functional model of the same weights.

        Videos are uint8 there and in exports, as files have them: the model normalises them itself.
        """
        return [keras.Input(shape, dtype=dtype, name=name) for name, (shape, dtype) in self.input_shapes().items()]

    def build_whole(self) -> None:
        """Builds it for what `inputs` says; it has weights then."""
        self.build(*(tensor.shape for tensor in self.inputs))

    @property
    def input_shape(self) -> Any:
        """The shape of the only input, or a list of them."""
        shapes = [tensor.shape for tensor in self.inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        made: tuple[int | None, ...] = self.compute_output_shape(*(tensor.shape for tensor in self.inputs))
        return made

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        *args: Any,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """As Keras' models; without a signature that of `inputs`, whether the model was ever called or not.

        Raises:
            ValueError: a SavedModel on another backend than TensorFlow.
        """
        if format == "tf_saved_model" and keras.config.backend() != "tensorflow":
            # Keras would write one, which TensorFlow 2.21 refuses to read: JAX 0.10's operations are newer than it.
            raise ValueError(
                "a SavedModel is exported on TensorFlow: save the model as a .keras file, and with "
                "KERAS_BACKEND=tensorflow load it and export it"
            )
        super().export(filepath, format, *args, input_signature=input_signature or self.inputs, **kwargs)

    def get_config(self) -> dict[str, Any]:
        frozen = [path for path, layer in _sublayers(self) if not layer.trainable]
        return {**super().get_config(), "frozen": frozen}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        model = super().from_config({name: value for name, value in config.items() if name != "frozen"})
        layers = dict(_sublayers(model))
        for path in config.get("frozen", ()):
            layers[path].trainable = False
        return model


def copy_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Those of a layer and all below it into another one that is made of the same layers; LoRA's are merged.

    Raises:
        ValueError: a layer has other weights than its counterpart, as where one of them is quantised.
    """
    for theirs, ours in zip(source._flatten_layers(), target._flatten_layers(), strict=True):
        stored: dict[str, Any] = {}
        theirs.save_own_variables(stored)
        ours.load_own_variables(stored)


def _sublayers(layer: keras.layers.Layer, path: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """Every layer below one, after its own parent, by the names on the way to it."""
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        yield f"{path}{inner.name}", inner
        yield from _sublayers(inner, f"{path}{inner.name}/")
