"""What a fine-tuned model's outputs are: what the list, the settings and a checkpoint say about it must agree.

They are classes; of other tasks labels or numbers, whose names are treated likewise.
"""

from dataclasses import replace
from pathlib import Path

from mae.checkpoints.run_state import Checkpoint
from mae.checkpoints.weights import Weights
from mae.data.lists.splits import with_classes
from mae.data.lists.video_index import VideoIndex
from mae.errors import ConfigError
from mae.finetuning.config import FinetuneConfig


def agreed_names(
    train: VideoIndex, config: FinetuneConfig, weights: Weights | None, checkpoint: Checkpoint | None
) -> tuple[str, ...]:
    """One name for each class of the model; the numbers where nobody named them.

    Args:
        weights: of `init_from`, where a new run starts from it; its head, if it has one of as many classes, is kept.
        checkpoint: the one a run goes on from.

    Raises:
        ConfigError: labels beyond `num_classes`, or another task or other names than the kept head was trained for.
    """
    assert train.num_classes is not None
    if weights is not None and weights.kind == "classifier":
        check_task(weights.task, config.task, weights.source, "; fresh_head=true starts with a new one")
    count = config.num_classes or train.num_classes
    with_classes(train, None, count, f"num_classes={config.num_classes}")
    names = train.class_names
    if names is not None and len(names) != count:
        raise ConfigError(f"num_classes={count}, and the training list names {len(names)} classes: leave it out")
    told = _names_of(weights, checkpoint, count)
    if names is not None and told is not None and told != names:
        position = next(position for position, (a, b) in enumerate(zip(told, names, strict=True)) if a != b)
        raise ConfigError(
            f"the classes of {_source(weights, checkpoint)} differ from the list's from class {position} on: "
            f"{told[position]!r} and {names[position]!r}; its head knows others, fresh_head=true starts with a new one"
        )
    return names or told or _numbers(count)


def check_task(trained: str, task: str, source: Path, otherwise: str = "") -> None:
    """Raises `ConfigError` unless a head was trained for the task; `otherwise`: what else can be done."""
    if trained != task:
        raise ConfigError(f"the head of {source} is for task={trained}, not for task={task}{otherwise}")


def reported_names(index: VideoIndex, trained: tuple[str, ...], source: str) -> tuple[VideoIndex, tuple[str, ...]]:
    """A list to test on in the numbering of a trained model's classes, and their names.

    Raises:
        ConfigError: they have other classes.
    """
    count = len(trained)
    if trained != _numbers(count):
        return with_classes(index, trained, count, source), trained
    if index.class_names is not None and len(index.class_names) != count:
        raise ConfigError(f"{source} has {count} classes, and the list to test on names {len(index.class_names)}")
    checked = with_classes(index, None, count, source)
    return replace(checked, class_names=index.class_names), index.class_names or trained


def _names_of(weights: Weights | None, checkpoint: Checkpoint | None, count: int) -> tuple[str, ...] | None:
    """What the head to go on with calls its classes; None: it is fresh, or they have only numbers."""
    if checkpoint is not None:
        told = {int(number): name for number, name in checkpoint.meta.get("id2label", {}).items()}
    elif weights is not None and weights.kind == "classifier":
        told = weights.id2label
    else:
        return None
    if sorted(told) != list(range(count)):
        return None
    names = tuple(told[number] for number in range(count))
    return None if names == _numbers(count) else names


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(count))


def _source(weights: Weights | None, checkpoint: Checkpoint | None) -> str:
    return str(checkpoint.path if checkpoint is not None else weights.source if weights is not None else "")
