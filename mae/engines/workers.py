"""The processes that train one model together, mostly one: who of them writes, and how they agree.

Every process computes the same updates. One, the chief, also writes the run directory, talks to W&B and to the
terminal. What only one of them can know (a signal, a full disk) is exchanged, so that all stop at the same step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from mae.cli.telling import tell
from mae.errors import ConfigError, Interrupted, TrainingStopped

_MISTAKE, _STOP, _SIGNAL = 1, 2, 128  # kinds of errors that are told to the others; the last plus its number

Result = TypeVar("Result")


@dataclass(frozen=True)
class Workers:
    """One process' place among those that train together."""

    index: int = 0
    count: int = 1
    add_up: Callable[[np.ndarray], np.ndarray] | None = None  # int64 values over all processes; None: there is one

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def say(self, text: str) -> None:
        """Prints on the chief."""
        if self.is_chief:
            tell(text)

    def lost(self, error: Exception) -> TrainingStopped:
        """What to raise instead of an error that came of another worker's end."""
        reason = str(error).splitlines()[0]
        return TrainingStopped(
            f"worker {self.index} of {self.count} lost the others ({reason}); the same command on all machines "
            "goes on from the last checkpoint"
        )

    def gather(self, value: int) -> list[int]:
        """The values of all workers, in their order. All have to call it, as often as each other."""
        if self.count == 1:
            return [value]
        assert self.add_up is not None
        mine = np.zeros(self.count, np.int64)
        mine[self.index] = value
        return [int(total) for total in self.add_up(mine)]

    def agree(self, signum: int | None) -> int | None:
        """A signal that any worker got, for the one that this worker got."""
        return max(self.gather(signum or 0)) or None

    def together(self, action: Callable[[], Result]) -> Result:
        """Does something on each worker and waits for the others; where it fails on one, it fails on all.

        Raises:
            ConfigError, TrainingStopped, Interrupted: what `action` raised here or, with other words, on another
                worker.
        """
        failure: ConfigError | TrainingStopped | Interrupted | None = None
        result: Any = None
        try:
            result = action()
        except (ConfigError, TrainingStopped, Interrupted) as error:
            failure = error
        kinds = self.gather(0 if failure is None else _kind(failure))
        if failure is not None:
            raise failure
        failed = [i for i, kind in enumerate(kinds) if kind]
        if failed:
            kind, who = kinds[failed[0]], f"worker {failed[0]} of {self.count}"
            if kind >= _SIGNAL:
                raise Interrupted(kind - _SIGNAL, f"{who} was interrupted")
            raise (ConfigError if kind == _MISTAKE else TrainingStopped)(f"{who} stopped; its own output says why")
        return result

    def chief_first(self, action: Callable[[], Result]) -> Result:
        """`together`, but the others begin once the chief is done: it may leave files for them."""
        first = self.together(lambda: action() if self.is_chief else None)
        later = self.together(lambda: None if self.is_chief else action())
        result = first if self.is_chief else later
        assert result is not None
        return result

    def check_same(self, what: str, value: int) -> None:
        """Raises `ConfigError` on all unless `value` is the same everywhere; `what` goes into the message."""
        values = self.gather(value)
        if len(set(values)) > 1:
            raise ConfigError(
                f"the workers differ in {what} ({', '.join(map(str, values))}): see docs/several_machines.md"
            )


def _kind(failure: ConfigError | TrainingStopped | Interrupted) -> int:
    if isinstance(failure, Interrupted):
        return _SIGNAL + failure.signum
    return _MISTAKE if isinstance(failure, ConfigError) else _STOP
