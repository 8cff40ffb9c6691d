"""What is to be learnt from the labels of a list."""

from collections.abc import Sequence
from dataclasses import dataclass

from mae.errors import ConfigError
from mae.options import CLASSIFICATION

VALUE = "value"  # what a number is called that nobody named


@dataclass(frozen=True)
class Wanted:
    """What is to be learnt from the labels of a list."""

    task: str | None = CLASSIFICATION  # of `mae.options.TASKS`; None: nothing, they may be any of these
    columns: tuple[str, ...] = ()  # that hold it, by their names in the header; none: the column of labels

    def __post_init__(self) -> None:
        if self.task == CLASSIFICATION and len(self.columns) > 1:
            raise ConfigError(
                f"dataset.targets=[{','.join(self.columns)}] names {len(self.columns)} columns, and a class is one; "
                "several are for task=multilabel and task=regression"
            )


CLASSES = Wanted()
NOTHING = Wanted(None)


def names_of_numbers(
    targets: Sequence[Sequence[float]] | None, columns: Sequence[str | None]
) -> tuple[str, ...] | None:
    """What the numbers of a list are called; None where it does not say."""
    if targets is None or None in columns:
        return None
    named = tuple(str(column) for column in columns)
    count = len(targets[0])
    return named if len(named) == count else tuple(f"{named[0]}_{position}" for position in range(count))
