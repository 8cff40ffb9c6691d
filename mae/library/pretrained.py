"""Trained models by the name of a run or file, and files that keep all of a model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mae.checkpoints.metadata import Training
from mae.checkpoints.save import save_checkpoint
from mae.errors import ConfigError
from mae.evaluation.trained import Trained, load_trained
from mae.library.clip import Clip
from mae.models.classifier import Classifier
from mae.models.pretrainer import Pretrainer
from mae.models.video_encoder import VideoEncoder
from mae.picture_size import PictureSize, size_setting

_MODELS = (Pretrainer, Classifier, VideoEncoder)
# What is true of the very weights of a file, and not of what becomes of them.
_OF_THESE_WEIGHTS = ("step", "fixed_batch", "fixed_batch_loss")


@dataclass(frozen=True)
class ModelCard:
    """What `mae.from_pretrained` knows of a model besides its weights, as `model.card`.

    Attributes:
        source: the file; of a run directory its newest checkpoint.
        checksum: SHA-256 of the file, or of the list of its files' checksums.
        clip: what the model is to be shown, a `mae.Clip`.
        class_names: of a classifier, by number; the numbers of those that nobody named.
        training: how the weights were trained, as far as the file tells.
        assumed: of all this, what the file does not tell: as most released models have it.
        task: of a classifier: `classification`, `multilabel` or `regression`; None of another model.

    Example:
        >>> import mae, tempfile
        >>> classifier = mae.build_classifier("vit_micro", num_classes=2, depth=1)
        >>> path = tempfile.mkdtemp() + "/model.keras"
        >>> mae.save_pretrained(classifier, path, class_names=["open", "close"], clip=mae.Clip(4, 2, 24))
        >>> card = mae.from_pretrained(path).card
        >>> card.class_names, card.clip.frame_stride, card.assumed
        (('open', 'close'), 2, ())
    """

    source: Path
    checksum: str
    clip: Clip
    class_names: tuple[str, ...]
    training: Training
    assumed: tuple[str, ...]
    task: str | None = None


def from_pretrained(
    path: str | Path,
    *,
    dtype: Any = None,
    num_heads: int | None = None,
    decoder_num_heads: int | None = None,
    image_size: PictureSize | None = None,
    num_frames: int | None = None,
) -> Pretrainer | Classifier | VideoEncoder:
    """The model that a run or a file holds, with its weights.

    It is what was saved: a `Pretrainer` where there is a decoder, a `Classifier` where there is a trained head, else a
    `VideoEncoder`, whose output is the features of every token, (b, t·h·w, d). All of them take clips (b, T, H, W, c),
    uint8 or normalised floats. `model.card` is a `mae.ModelCard`: label names, and the clips the model was trained on.

    Args:
        path: a run directory (its newest checkpoint; the moving average of the weights where the run keeps any), or a
            file or folder of any format that MODEL_ZOO.md lists.
        dtype: a Keras dtype policy, as `mixed_bfloat16`; None: the global one.
        num_heads: of attention, where the file does not tell them and no preset is as wide.
        decoder_num_heads: of attention in the decoder, where the file does not tell them.
        image_size: of the model, pixels or height and width, where the file does not tell it or it should run at
            another; fixed tables of positions are made for it, learnable ones interpolated.
        num_frames: of the model's clips, where the file does not tell them or it should take others.

    Raises:
        ConfigError: nothing there, damaged, of no known format, not the whole of a model, or of sizes that nothing
            tells; the message says what was found and what was expected.

    Example:
        >>> import mae, numpy as np, tempfile
        >>> path = tempfile.mkdtemp() + "/model.keras"
        >>> mae.save_pretrained(mae.build_pretrainer("vit_micro", depth=1), path)
        >>> model = mae.from_pretrained(path)
        >>> type(model).__name__, model.card.clip.num_frames
        ('Pretrainer', 4)
    """
    sizes = {
        "num_heads": num_heads,
        "decoder_num_heads": decoder_num_heads,
        "image_size": image_size,
        "num_frames": num_frames,
    }
    trained = load_trained(path, dtype, sizes)
    model = trained.model
    model.card = _card(trained)
    return model


def save_pretrained(
    model: Pretrainer | Classifier | VideoEncoder,
    path: str | Path,
    *,
    class_names: Sequence[str] | None = None,
    clip: Clip | None = None,
) -> None:
    """Writes a model to a file that `mae.from_pretrained` reads back, equal to the bit.

    The file is one of Keras' own (`keras.models.load_model` reads it) with a note in it: sizes, normalisation, clips,
    label names, how the weights were trained, their licence. For other formats there is `mae.save_checkpoint`.

    Args:
        model: of `mae.from_pretrained`, `mae.build_pretrainer` or `mae.build_classifier`.
        path: a file that is not there yet; its name ends in `.keras`.
        class_names: of a classifier, by number; None: those of `model.card`, if it has any.
        clip: what the model was trained on; None: as `model.card` tells, if it has one.

    Raises:
        ConfigError: no model of this package, a file that is there, another ending, label names that are not as many
            as the classes, or clips of other sizes than the model's.

    Example:
        >>> import mae, numpy as np, tempfile
        >>> path = tempfile.mkdtemp() + "/model.keras"
        >>> classifier = mae.build_classifier("vit_micro", num_classes=2, depth=1)
        >>> mae.save_pretrained(classifier, path, class_names=["open", "close"])
        >>> again = mae.from_pretrained(path)
        >>> bool(np.all(np.asarray(again.head.kernel) == np.asarray(classifier.head.kernel)))
        True
    """
    if not isinstance(model, _MODELS):
        names = ", ".join(kind.__name__ for kind in _MODELS)
        raise ConfigError(f"save_pretrained got a {type(model).__name__}; expected a model of this package: {names}")
    if Path(path).suffix != ".keras":
        raise ConfigError(f"{path} does not end in .keras; for other formats there is mae.save_checkpoint")
    card: ModelCard | None = getattr(model, "card", None)
    training = Training() if card is None else replace(card.training, **dict.fromkeys(_OF_THESE_WEIGHTS))
    if clip is not None:
        _check_clip(clip, model)
        seen = clip.decoding()
        channels = None if seen.channels == "rgb" else seen.channels
        training = replace(training, frame_stride=clip.frame_stride, sampler=clip.sampler)
        training = replace(
            training, channels=channels, window=seen.window, resize=None if clip.resize == "crop" else clip.resize
        )
    names = class_names if class_names is not None else _given_names(card)
    save_checkpoint(model, path, "keras", dict(enumerate(names)), training)


def _card(trained: Trained) -> ModelCard:
    a, training = trained.model.architecture, trained.training
    assert training.sampler is not None
    clip = Clip(
        a.num_frames,
        trained.frame_stride,
        a.image_size,
        training.sampler,
        a.in_channels,
        trained.decoding.channels,
        trained.decoding.window,
        a.statistics.mean,
        a.statistics.std,
        trained.resize,
    )
    task = trained.model.task if isinstance(trained.model, Classifier) else None
    return ModelCard(trained.source, trained.checksum, clip, trained.class_names, trained.told, trained.assumed, task)


def _check_clip(clip: Clip, model: Any) -> None:
    a = model.architecture
    if (clip.num_frames, clip.image_size) != (a.num_frames, a.image_size):
        raise ConfigError(
            f"clip has num_frames={clip.num_frames} and image_size={size_setting(clip.image_size)}, the model takes "
            f"{a.num_frames} frames of {size_setting(a.image_size)} pixels"
        )
    if clip.statistics != a.statistics:
        raise ConfigError(
            f"clip is of {clip.in_channels} channels, mean {list(clip.statistics.mean)}, std "
            f"{list(clip.statistics.std)}; the model of {a.in_channels}, mean {list(a.statistics.mean)}, std "
            f"{list(a.statistics.std)}"
        )


def _given_names(card: ModelCard | None) -> tuple[str, ...]:
    """The names of classes that somebody gave them."""
    names = () if card is None else card.class_names
    return names if any(name != str(number) for number, name in enumerate(names)) else ()
