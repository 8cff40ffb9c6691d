"""The arguments of commands whose work several machines may share."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from mae.errors import ConfigError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """A share of the work: of `count` equal ones, the one of this number, counted from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        """As a part of a file name: 3-of-8."""
        return f"{self.number}-of-{self.count}"

    def of(self, items: Sequence[Item]) -> list[Item]:
        """The items of this share: every `count`-th, so that shares of a list sorted by class or length are alike."""
        return list(items[self.number - 1 :: self.count])


@dataclass(frozen=True, kw_only=True)
class SharedWork:
    """Who does the work; the commands' own texts say more."""

    shard: str | None = None  # i/n: the i-th of n equal parts of the videos; null: all
    executor: str | None = None  # dask://host:port, a cluster that is there already; null: this machine

    def __post_init__(self) -> None:
        if self.shard is not None:
            self._parsed()
        if self.executor is not None and not re.fullmatch(r"dask://[^/\s]+:[0-9]+", self.executor):
            raise ConfigError(
                f"executor={self.executor} is no cluster: expected the scheduler's address as dask://host:8786; "
                "without it, this machine does the work"
            )

    @property
    def share(self) -> Shard | None:
        """What `shard` says."""
        return None if self.shard is None else self._parsed()

    def _parsed(self) -> Shard:
        found = re.fullmatch(r"([0-9]+)/([0-9]+)", str(self.shard))
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError(
                f"shard={self.shard} is not one of 1/n to n/n, as 3/8 for the third of eight: numbers begin with 1, as "
                "those of sbatch --array=1-8"
            )
        return Shard(int(found[1]), int(found[2]))
