"""Mutations of every format load as the file they were made from, or are refused in one line, and quickly.

Seeds are fixed: a test that fails names the number that makes the file again. `-m slow` draws many more.
"""

import contextlib
import random
import shutil
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mutations
import numpy as np
import pytest
from test_load import build

from mae.checkpoints.containers.torch_zip import read_torch
from mae.checkpoints.load import load_checkpoint
from mae.checkpoints.run_state import variables_to_arrays, write_checkpoint
from mae.checkpoints.save import save_checkpoint
from mae.errors import ConfigError

pytestmark = pytest.mark.files

FILES = Path(__file__).parent / "containers" / "files"
SECONDS = 20  # of the processor for one file: a hundred times what any takes, so that no machine is too slow
FREE_MEMORY = 64 << 20  # bytes, beyond twice the file: what budgets of steps and copies allow


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Path]]:
    """A model, and a file of it in each format."""
    folder = tmp_path_factory.mktemp("clean")
    model = build("pretrainer")
    paths = {
        "huggingface": folder / "hf", "pytorch": folder / "x.pth", "keras_h5": folder / "x.h5",
        "keras": folder / "x.keras", "savedmodel": folder / "saved",
    }  # fmt: skip
    for format, path in paths.items():
        save_checkpoint(model, path, format)
    paths["run"] = folder / "run.npz"
    meta = {"step": 1, "config": {"mask_ratio": 0.9, "dataset": {"frame_stride": 2}, "data": {}}, "id2label": {}}
    meta |= {"architecture": asdict(model.architecture)}
    write_checkpoint(paths["run"], variables_to_arrays(model.variables), meta)
    return model, paths


class TooLong(BaseException):
    """No `Exception`: readers turn those into a refusal."""


@contextlib.contextmanager
def bounded(size: int) -> Iterator[None]:
    """Fails where the block takes more time of the processor, or memory, than a file of this size may."""

    def too_long(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, too_long)
    tracemalloc.start()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] <= 2 * size + FREE_MEMORY
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        tracemalloc.stop()
        signal.signal(signal.SIGPROF, before)


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]))


def mutated(format: str, path: Path, draw: random.Random) -> bool:
    """Changes one file of a checkpoint; whether other weights may come of it and nobody can know.

    HDF5 has no checksums of its own, and a pickle may say of any storage that it is any weight of the same size.
    """
    if format == "huggingface":
        choice = draw.random()
        if choice < 0.6:
            mutations.json_file(path / "config.json", draw)
        else:
            mutations.safetensors(path / "model.safetensors", draw)
    elif format == "savedmodel":
        change, name = draw.choice(
            [(mutations.index, "variables/variables.index"), (mutations.index, "variables/variables.index"),
             (mutations.file, "variables/variables.data-00000-of-00001"),
             (mutations.json_file, "assets.extra/architecture.json")]
        )  # fmt: skip
        change(path / name, draw)
    elif format == "keras_h5":
        mutations.file(path, draw)
        return True
    elif format == "pytorch":
        return mutations.zipped(path, draw, {"data.pkl": mutations.pickled})
    elif format == "keras":
        mutations.zipped(path, draw, {".json": mutations.json_text})
    else:
        mutations.zipped(path, draw, {"__meta__.npy": mutations.npy, ".npy": mutations.npy})
    return False


def check_one(format: str, seed: int, clean: tuple[Any, dict[str, Path]], target: Any, folder: Path) -> bool:
    """Whether a mutation was loaded; fails where it was neither loaded as it should be nor refused as it should be."""
    model, paths = clean
    path = folder / f"{seed}{paths[format].suffix}"
    if paths[format].is_dir():
        shutil.copytree(paths[format], path)
    else:
        shutil.copy(paths[format], path)
    may_differ = mutated(format, path, random.Random(f"{format} {seed}"))
    before = [variable.numpy() for variable in target.variables]
    try:
        with bounded(size_of(path)):
            load_checkpoint(path, target)
    except ConfigError:
        expected = before
    else:
        expected = [variable.numpy() for variable in model.variables]
    loaded = expected is not before
    for variable, value in zip(target.variables, expected, strict=True):
        assert variable.shape == value.shape
        if not (loaded and may_differ):
            np.testing.assert_array_equal(variable.numpy(), value, err_msg=f"{format} {seed}: {variable.path}")
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return loaded


# HDF5 is read by another process, which takes half a second to start.
COUNTS = {"huggingface": 120, "pytorch": 120, "savedmodel": 120, "run": 120, "keras_h5": 8, "keras": 12}


def check_many(format: str, seeds: range, clean: tuple[Any, dict[str, Path]], folder: Path) -> None:
    target = build("pretrainer")
    outcomes = [check_one(format, seed, clean, target, folder) for seed in seeds]
    # Both happen, or the mutations are too weak, or break everything.
    assert 0 < sum(outcomes) < len(outcomes), f"{sum(outcomes)} of {len(outcomes)} loaded"


@pytest.mark.parametrize("format", COUNTS)
def test_mutations_load_equal_or_are_refused(format: str, clean: tuple[Any, dict[str, Path]], tmp_path: Path) -> None:
    check_many(format, range(COUNTS[format]), clean, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("format", COUNTS)
def test_many_mutations(format: str, clean: tuple[Any, dict[str, Path]], tmp_path: Path) -> None:
    check_many(format, range(1000, 1000 + 10 * COUNTS[format]), clean, tmp_path)


def check_container(whole: bytes, seeds: range, path: Path, read: Callable[[Path], Any]) -> None:
    for seed in seeds:
        path.write_bytes(mutations.changed_bytes(whole, random.Random(seed)))
        with contextlib.suppress(ConfigError), bounded(len(whole)):
            read(path)


@pytest.mark.parametrize("name", ["zip.pth", "deflated.pth", "legacy.pth"])
def test_mutations_of_files_of_pytorch(name: str, tmp_path: Path) -> None:
    check_container((FILES / name).read_bytes(), range(100), tmp_path / name, read_torch)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zip.pth", "deflated.pth", "legacy.pth"])
def test_many_mutations_of_files_of_pytorch(name: str, tmp_path: Path) -> None:
    check_container((FILES / name).read_bytes(), range(1000, 3000), tmp_path / name, read_torch)
