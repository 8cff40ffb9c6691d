"""Encoder and head: the model that is fine-tuned."""

from dataclasses import asdict
from typing import Any

import keras
from keras import ops

from mae.checks import check_videos
from mae.errors import ConfigError, check_choice
from mae.models.encoder import Encoder
from mae.models.layers import Dense
from mae.models.whole_model import InputShapes, WholeModel, copy_weights
from mae.options import CLASSIFICATION, POOLINGS, REGRESSION, TASKS
from mae.patches import normalised, patchify
from mae.presets import Architecture, architecture, architecture_of


@keras.saving.register_keras_serializable("mae")
class Classifier(WholeModel):
    """A video classifier: all patches → encoder → pooling → LayerNorm → dropout → dense.

    `mean` averages the tokens and normalises the average, as the released fine-tuned models do; `first`
    normalises all tokens and takes the first. The outputs are what `task` says: logits of classes, of which a video has
    one (`classification`), logits of labels, of which it may have several (`multilabel`), or numbers (`regression`),
    which are computed in float32 whatever the rest is.
    """

    def __init__(
        self,
        architecture: Architecture | dict[str, Any],
        num_classes: int,
        head_dropout_rate: float = 0.0,
        pooling: str = "mean",
        init_scale: float = 0.001,
        task: str = CLASSIFICATION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_classes < 1:
            raise ConfigError(f"num_classes={num_classes} must be at least 1")
        check_choice("task", task, TASKS)
        check_choice("pooling", pooling, POOLINGS)
        architecture = self.architecture = architecture_of(architecture)
        self.num_classes = num_classes
        self.head_dropout_rate = head_dropout_rate
        self.pooling = pooling
        self.init_scale = init_scale
        self.task = task
        dtype = self.dtype_policy
        self.encoder = Encoder(architecture, final_norm=pooling == "first", dtype=dtype, name="encoder")
        self.fc_norm = None
        if pooling == "mean":
            epsilon = architecture.final_norm_epsilon
            self.fc_norm = keras.layers.LayerNormalization(epsilon=epsilon, dtype=dtype, name="fc_norm")
        self.head_dropout = keras.layers.Dropout(head_dropout_rate, dtype=dtype, name="head_dropout")
        # A small head keeps the first gradients that reach a pre-trained encoder small. Its deviation is the published
        # one: that of Keras' TruncatedNormal is 12 % less than it is told.
        initial = keras.initializers.RandomNormal(stddev=0.02 * init_scale)
        # 16 bits have two or three digits: too few for numbers in their own unit.
        precision = "float32" if task == REGRESSION else dtype
        self.head = Dense(num_classes, architecture.lean, kernel_initializer=initial, dtype=precision, name="head")

    def build(self, videos_shape: Any = None) -> None:
        a = self.architecture
        self.encoder.build((None, a.num_tokens, a.patch_dim))
        for sublayer in (self.fc_norm, self.head_dropout, self.head):
            if sublayer is not None:
                sublayer.build((None, a.embed_dim))

    def input_shapes(self) -> InputShapes:
        return {"videos": (self.architecture.video_shape, "uint8")}

    def compute_output_shape(self, videos_shape: Any) -> Any:
        check_videos(keras.KerasTensor(videos_shape), self.architecture)
        return (videos_shape[0], self.num_classes)

    def call(self, videos: Any, path_noise: Any = None, training: bool | None = None) -> Any:
        """Logits of the classes or labels, or numbers.

        Args:
            videos: (b, T, H, W, c) floats normalised by `architecture.statistics` (`mae.patches.normalise`), or
                uint8, which are normalised here.
            path_noise: as in `Encoder`.

        Returns:
            (b, num_classes).

        Raises:
            ValueError: videos of other sizes than the model's, or of other integers.
        """
        a = self.architecture
        check_videos(videos, a)
        patches = patchify(normalised(videos, a.statistics), a.tubelet)
        tokens = self.encoder(patches, path_noise=path_noise, training=training)
        pooled = tokens[:, 0] if self.fc_norm is None else self.fc_norm(ops.mean(tokens, axis=1))
        return self.head(self.head_dropout(pooled, training=training))

    def new_head(
        self,
        num_classes: int,
        head_dropout_rate: float | None = None,
        init_scale: float | None = None,
        task: str | None = None,
    ) -> "Classifier":
        """A classifier of other classes, with a copy of all this one has learnt but its head, which is a fresh one.

        This one stays as it is. What is frozen stays frozen, and LoRA's weights are added to those they belong to.

        Args:
            num_classes: of the new head. Its weights are drawn anew, also where there are as many classes as before.
            head_dropout_rate: before the new last layer, in [0, 1); None: this one's.
            init_scale: of the new last layer's initial weights; None: this one's.
            task: `classification`, `multilabel` or `regression`; None: this one's.

        Raises:
            ValueError: this one is quantised.
        """
        changed = {
            "num_classes": num_classes,
            "head_dropout_rate": head_dropout_rate,
            "init_scale": init_scale,
            "task": task,
        }
        given = {name: value for name, value in changed.items() if value is not None}
        model: Classifier = Classifier.from_config({**self.get_config(), **given})
        model.build(self.input_shape)
        copy_weights(self.encoder, model.encoder)
        if self.fc_norm is not None:
            copy_weights(self.fc_norm, model.fc_norm)
        return model

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "architecture": asdict(self.architecture),
            "num_classes": self.num_classes,
            "head_dropout_rate": self.head_dropout_rate,
            "pooling": self.pooling,
            "init_scale": self.init_scale,
            "task": self.task,
        }


def build_classifier(
    preset: str,
    num_classes: int,
    head_dropout_rate: float = 0.0,
    pooling: str = "mean",
    init_scale: float = 0.001,
    dtype: Any = None,
    task: str = CLASSIFICATION,
    **overrides: Any,
) -> Classifier:
    """A classifier of videos, built, its weights at random: an encoder that sees all patches, and a head.

    `model(videos)` takes clips (b, T, H, W, c), uint8 or normalised floats, and gives logits (b, num_classes)
    of classes; with `task="multilabel"` of as many labels, with `task="regression"` as many numbers.

    Args:
        preset: `vit_micro`, `vit_tiny`, `vit_small`, `vit_base`, `vit_large`, `vit_huge` or `vit_giant`.
        num_classes: of the head.
        head_dropout_rate: before the last layer, in [0, 1).
        pooling: what of the encoder's output the head reads: `mean` of all tokens, or the `first` one.
        init_scale: of the last layer's initial weights.
        dtype: a Keras dtype policy, as "mixed_bfloat16"; None: the global one.
        task: `classification`, `multilabel` or `regression`.
        overrides: sizes to replace, as `image_size=112`, `num_frames=8` or `depth=6`; those of `mae.architecture`.

    Raises:
        ConfigError: no such preset, size, pooling or task, with the nearest name, or sizes that do not fit together.

    Example:
        >>> import mae, numpy as np
        >>> model = mae.build_classifier("vit_micro", num_classes=5, depth=1)
        >>> tuple(model(np.zeros((2, 4, 24, 24, 3), "uint8")).shape)
        (2, 5)
    """
    model = Classifier(
        architecture(preset, **overrides),
        num_classes,
        head_dropout_rate,
        pooling,
        init_scale,
        task,
        name="classifier",
        dtype=dtype,
    )
    model.build_whole()
    return model
