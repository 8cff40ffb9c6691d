"""The whole state of a run on disk: checkpoints that are either complete or not there.

A checkpoint is one `.npz` file: every variable under its path, and `__meta__`, a JSON object with the step and what
else a resumed run must know. NumPy reads it anywhere; the zip container carries a checksum for each array.
"""

import errno
import itertools
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mae.checkpoints.containers.npz import read_npz
from mae.checkpoints.schema import MAX_TENSORS, check, json_object, listing, table, text, whole
from mae.errors import ConfigError, some
from mae.files import abandoned, replacing

_NAME = re.compile(r"step_(\d{8})\.npz")
_META = "__meta__"
_NAMES = "arrays"  # within it
_SHOWN = 3  # names of a list in an error's one line
AVERAGE = "ema/"  # before the name of a weight: its moving average


@dataclass(frozen=True)
class Checkpoint:
    """What one file holds."""

    path: Path
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]

    @property
    def step(self) -> int:
        """Steps made when it was saved."""
        return int(self.meta["step"])

    @property
    def averaged(self) -> bool:
        """Whether the run keeps a moving average of its weights."""
        return any(name.startswith(AVERAGE) for name in self.arrays)

    def evaluated_arrays(self) -> dict[str, np.ndarray]:
        """The arrays, with the averages in place of the weights where there are any."""
        averages = {n.removeprefix(AVERAGE): array for n, array in self.arrays.items() if n.startswith(AVERAGE)}
        return {name: array for name, array in self.arrays.items() if not name.startswith(AVERAGE)} | averages


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads and checks a whole file.

    Raises:
        ConfigError: missing, damaged, or not a checkpoint of this project.
    """
    if not path.is_file():
        raise ConfigError(f"no checkpoint at {path}")
    try:
        arrays = read_npz(path)
        if _META not in arrays:
            raise ConfigError(f"it has no {_META}")
        meta = json_object(_META, arrays.pop(_META).tobytes())
    except ConfigError as error:
        reason = str(error).removeprefix(f"{path}").lstrip(": ")
        raise ConfigError(f"{path} is damaged or not a checkpoint of this project ({reason})") from error
    check(f"{path} is not a checkpoint of this project: {_META}", "step", meta.get("step"), whole(0, 1 << 62))
    if _NAMES not in meta:
        raise ConfigError(f"{path} was written by an older version of this project, which it needs to be read")
    if {*arrays} != {*check(path, _NAMES, meta.pop(_NAMES), listing(text(), MAX_TENSORS))}:
        raise ConfigError(f"{path} is damaged: it does not hold the arrays it was written with")
    return Checkpoint(path, arrays, meta)


def read_meta(path: Path) -> dict[str, Any]:
    """What a checkpoint says about itself, without its arrays.

    Raises:
        ConfigError: missing, damaged, or not a checkpoint of this project.
    """
    meta = read_npz(path, only=(_META,)).get(_META)
    if meta is None:
        raise ConfigError(f"{path} is not a checkpoint of this project: it has no {_META}")
    return json_object(_META, meta.tobytes())


def write_checkpoint(path: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Writes a file for `read_checkpoint` under another name, reads it back, syncs and renames it.

    Raises:
        OSError: it cannot be written, or not read back; what was at `path` is still there.
    """
    # A zip whose directory lost its last entries is a valid zip: the names say what has to be there.
    told = {**meta, _NAMES: sorted(arrays)}
    encoded = np.frombuffer(json.dumps(told).encode(), np.uint8)
    with replacing(path) as temporary:
        with open(temporary, "wb") as file:
            np.savez(file, **{_META: encoded}, **arrays)  # type: ignore[arg-type]  # allow_pickle came with NumPy 2.2
        _check_readable(temporary)


class Checkpoints:
    """The `checkpoints/` directory of a run; keeps the newest `keep` files, and those of every `keep_every` steps."""

    def __init__(self, directory: Path, keep: int, keep_every: int | None = None) -> None:
        self.directory = directory
        self._keep = keep
        self._keep_every = keep_every

    def paths(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        if not self.directory.is_dir():
            return []
        return sorted(path for path in self.directory.iterdir() if _NAME.fullmatch(path.name))

    def save(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> Path:
        """Writes a checkpoint for `meta["step"]`, and only then removes those that are no longer kept.

        The file is written under another name, read back, synced and renamed: a crash or a full disk at any moment
        leaves the earlier checkpoints as they are. Files of later steps, which a resumed run could not read, do not
        count as kept and are left alone.

        Raises:
            OSError: it cannot be written, or not read back.
        """
        path = self.directory / f"step_{meta['step']:08d}.npz"
        # What a process left that was killed while it wrote; an earlier version called it by the second pattern.
        for half in (*abandoned(self.directory, _NAME.pattern), *self.directory.glob("step_*.tmp")):
            half.unlink()
        write_checkpoint(path, arrays, meta)
        until_now = [kept for kept in self.paths() if kept.name <= path.name]
        for old in until_now[: -self._keep]:
            if not self._is_kept_for_ever(old):
                old.unlink()
        return path

    def _is_kept_for_ever(self, path: Path) -> bool:
        step = _NAME.fullmatch(path.name)
        assert step is not None
        return self._keep_every is not None and int(step[1]) % self._keep_every == 0

    def newest(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """The newest checkpoint that can be read, or None where there is no checkpoint at all.

        Raises:
            ConfigError: there are checkpoints, and none of them can be read.
        """
        paths = self.paths()
        for path in reversed(paths):
            try:
                return read_checkpoint(path)
            except ConfigError as error:
                warn(f"{error}; trying the one before it")
        if paths:
            raise ConfigError(f"none of the {len(paths)} checkpoints in {self.directory} can be read")
        return None


def run_places(path: Path) -> tuple[Path, Path]:
    """Where the checkpoints of a run may be, which a user names by its directory or by that of its checkpoints."""
    return path / "checkpoints", path


def read_settings(path: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """A checkpoint file, or the newest of a run, and the settings noted in it, as `config.yaml` has them.

    No weights are read. None where `path` is no run, or nothing that can be read.
    """
    files = [path]
    if path.is_dir():
        files = [file for place in run_places(path) for file in reversed(Checkpoints(place, keep=1).paths())]
    for file in files:
        try:
            return file, check(file, "config", read_meta(file).get("config"), table())
        except ConfigError:  # of another format, or damaged, which is said when the weights are read
            continue
    return None


def named_variables(variables: Sequence[Any]) -> dict[str, Any]:
    """Keras variables under names that do not depend on what else was built in the process.

    That is their path, except for seed generators, which Keras numbers through; they are numbered by their order.
    """
    generators = itertools.count()
    names = [
        f"seed_generator/{next(generators)}" if variable.path.endswith("seed_generator_state") else variable.path
        for variable in variables
    ]
    assert len(set(names)) == len(names), "two variables share a name"
    return dict(zip(names, variables, strict=True))


def read_variables(variables: Sequence[Any]) -> list[np.ndarray]:
    """The values of Keras variables of one process."""
    return [np.asarray(variable.numpy()) for variable in variables]


def assign_variables(variables: Sequence[Any], arrays: Sequence[np.ndarray]) -> None:
    """Gives Keras variables of one process new values."""
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def variables_to_arrays(
    variables: Sequence[Any], read: Callable[[Sequence[Any]], list[np.ndarray]] = read_variables
) -> dict[str, np.ndarray]:
    """The values of `named_variables`; `read`: as the engine that holds them gives them."""
    named = named_variables(variables)
    return dict(zip(named, read(list(named.values())), strict=True))


def assign_arrays(
    variables: Sequence[Any],
    arrays: Mapping[str, np.ndarray],
    source: Path,
    assign: Callable[[Sequence[Any], Sequence[np.ndarray]], None] = assign_variables,
) -> None:
    """Fills every variable from `arrays`, and uses every array; nothing is assigned unless all fits.

    Args:
        source: of the arrays, for errors.
        assign: as the engine that holds the variables gives them values.

    Raises:
        ConfigError: names missing on either side, or shapes that differ.
    """
    wanted = named_variables(variables)
    missing = sorted(wanted.keys() - arrays.keys())
    unexpected = sorted(arrays.keys() - wanted.keys())
    if missing or unexpected:
        raise ConfigError(
            f"{source} belongs to another model: missing {some(missing, _SHOWN)}; unexpected {some(unexpected, _SHOWN)}"
        )
    shapes = {name: tuple(variable.shape) for name, variable in wanted.items()}
    different = [
        f"{name} {arrays[name].shape} for {shapes[name]}" for name in wanted if arrays[name].shape != shapes[name]
    ]
    if different:
        raise ConfigError(f"{source} belongs to another model: shapes differ: {some(different, _SHOWN)}")
    assign(list(wanted.values()), [arrays[name] for name in wanted])


def _check_readable(path: Path) -> None:
    """Raises `OSError` unless every array has the checksum it was written with."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile as error:
        raise OSError(errno.EIO, f"it cannot be read back: {error}") from error
    if damaged is not None:
        raise OSError(errno.EIO, f"{damaged} is read back with another checksum")
