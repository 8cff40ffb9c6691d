"""Runs from Python: the same that `mae-pretrain` and `mae-finetune` make, with the same settings."""

import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mae.checkpoints.run_state import Checkpoints, run_places
from mae.cli.commands import program
from mae.cli.hydra_command import HydraCommand
from mae.cli.quiet import quiet_libraries
from mae.cli.telling import silence
from mae.errors import ConfigError, Interrupted
from mae.finetuning import command as finetuning
from mae.library.settings import Section, words
from mae.pretraining import command as pretraining
from mae.report.run_files import RunFiles
from mae.training.caller import Callback, CallbackFailed, Caller

if TYPE_CHECKING:
    from mae.models.classifier import Classifier
    from mae.models.pretrainer import Pretrainer
    from mae.models.video_encoder import VideoEncoder


@dataclass(frozen=True)
class Run:
    """What a run left in its directory, of `mae.pretrain`, `mae.finetune` or a command; also while it trains.

    Everything is read when it is asked for.

    Args:
        directory: of the run.

    Raises:
        ConfigError: there is no run in it.

    Example:
        >>> import mae
        >>> run = mae.Run("outputs/folder-vit_micro")
        >>> [record["step"] for record in run.metrics if "loss" in record], run.settings["model.depth"]
        ([1, 2], 1)
        >>> run.checkpoints[-1].name, type(run.model).__name__
        ('step_00000002.npz', 'Pretrainer')
    """

    directory: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "directory", Path(self.directory))
        _ = self._files

    @property
    def settings(self) -> dict[str, Any]:
        """All settings of its newest start, by names as `optimizer.weight_decay`."""
        return self._files.config

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The records of `metrics.jsonl`, oldest first; docs/monitoring.md lists their fields."""
        return self._files.records

    @property
    def checkpoints(self) -> list[Path]:
        """The checkpoints that are kept, oldest first; without `best`."""
        return Checkpoints(run_places(self.directory)[0], keep=1).paths()

    @property
    def best(self) -> Path | None:
        """The weights with the best validation, of a fine-tuning; None: there was none."""
        path = run_places(self.directory)[0] / "best.npz"
        return path if path.exists() else None

    @property
    def test(self) -> dict[str, Any] | None:
        """The figures of the multi-view test, as `top1`, a share; None: nothing was tested."""
        return self._files.test or None

    @property
    def probe(self) -> dict[str, Any] | None:
        """The figures of `mode="probe"`; None: nothing was probed."""
        return self._files.probe or None

    @cached_property
    def model(self) -> "Pretrainer | Classifier | VideoEncoder":
        """The model of its newest checkpoint, as `mae.from_pretrained` gives it; loaded once, when first asked for.

        Of a test or probe of a model from elsewhere it is that one.
        """
        from mae.library.pretrained import from_pretrained  # only here: Keras loads its backend

        settings = self.settings
        is_use = settings.get("mode", "train") != "train" and settings["init_from"] is not None
        return from_pretrained(settings["init_from"] if is_use else self.directory)

    @property
    def _files(self) -> RunFiles:
        return RunFiles(self.directory)


def pretrain(
    *,
    dataset: Section | None = None,
    model: Section | None = None,
    overrides: Sequence[str] = (),
    config_dir: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    verbose: bool = False,
    **settings: Any,
) -> Run:
    """Pre-trains a video masked autoencoder: `mae-pretrain` with the same settings, defaults and recipes.

    A run directory that holds the run goes on from its newest checkpoint (`resume="never"` refuses instead), so the
    same call continues what was interrupted. Ctrl-C while it trains saves first, and then raises `KeyboardInterrupt`.
    Nothing is sent to W&B or TensorBoard unless `monitor=["wandb"]` asks for it.

    Args:
        dataset: the option of `conf/dataset` by its name, as `shapes` (the default), `folder`, `csv` or `ssv2`, which
            brings the recipe and the model made for it; or a dict, see `settings`.
        model: a preset, from `vit_micro` to `vit_giant`; or a dict, see `settings`.
        overrides: more settings as a shell is given them, as `["optimizer.weight_decay=0.1"]`.
        config_dir: a folder with options of one's own, as `dataset/mine.yaml`; see `--config-dir` in the README.
        callbacks: what is called while it trains, each a `mae.Callback`.
        verbose: print what the command prints; else nothing is printed but warnings.
        settings: any other of `conf/pretrain.yaml`, as `steps=1000`, `recipe="small"`, `run_dir="outputs/first"`,
            `backend="jax"`; None is `null`. A section is a dict with those of its settings that are to be others, as
            `optimizer={"weight_decay": 0.1}`. Where it is a group, `name` in it (of the model: `preset`) chooses the
            option: `dataset={"name": "folder", "root": "videos"}`, `model={"preset": "vit_micro", "depth": 1}`.

    Returns:
        The run: its records, checkpoints, directory and model.

    Raises:
        ConfigError: a mistake in the settings, with the nearest name of one that does not exist; settings, data and
            machine that do not fit together; a directory with something else. Nothing on disk was changed.
        TrainingStopped: the loss is not finite, too many videos cannot be read, the disk is full; earlier checkpoints
            are kept.
        Interrupted: SIGTERM, SIGHUP or, with `on_usr1="end"`, SIGUSR1, after its state was saved.
        KeyboardInterrupt: Ctrl-C, after its state was saved.

    Example:
        >>> import mae
        >>> run = mae.pretrain(
        ...     dataset={"name": "folder", "root": "videos"}, model={"preset": "vit_micro", "depth": 1},
        ...     steps=1, warmup_steps=0, batch_size=2, optimizer={"weight_decay": 0.1}, probe={"every": None},
        ...     run_dir="outputs/first", report=False,
        ... )
        >>> last = run.metrics[-1]
        >>> last["step"], run.settings["optimizer.weight_decay"], str(run.directory)
        (1, 0.1, 'outputs/first')
    """
    command = pretraining.command()
    given = words(command, {"dataset": dataset, "model": model}, settings, overrides, config_dir)
    return _run("pretrain", command, given, callbacks, verbose)


def finetune(
    *,
    dataset: Section | None = None,
    model: Section | None = None,
    overrides: Sequence[str] = (),
    config_dir: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    verbose: bool = False,
    **settings: Any,
) -> Run:
    """Fine-tunes a classifier and tests it: `mae-finetune` with the same settings, defaults and recipes.

    `mode="eval"` tests a trained classifier, `mode="probe"` says what a frozen encoder knows.

    A run directory that holds the run goes on from its newest checkpoint (`resume="never"` refuses instead), so the
    same call continues what was interrupted. Ctrl-C while it trains saves first, and then raises `KeyboardInterrupt`.
    Nothing is sent to W&B or TensorBoard unless `monitor=["wandb"]` asks for it.

    Args:
        dataset: the option of `conf/dataset` by its name, as `folder`, `csv` or `ssv2`; or a dict, see `settings`.
            None: that of the run in `init_from`, else `shapes`.
        model: a preset, from `vit_micro` to `vit_giant`; or a dict, see `settings`. None: that of the run in
            `init_from`, else the data set's.
        overrides: more settings as a shell is given them, as `["optimizer.layer_decay=0.65"]`.
        config_dir: a folder with options of one's own, as `dataset/mine.yaml`; see `--config-dir` in the README.
        callbacks: what is called while it trains, each a `mae.Callback`.
        verbose: print what the command prints; else nothing is printed but warnings.
        settings: any other of `conf/finetune/finetune.yaml`. `init_from` is the directory of a pre-training, or a
            released checkpoint in any format; without, all is learnt from scratch. A section is a dict with those of
            its settings that are to be others, as `optimizer={"layer_decay": 0.65}`; `name` in that of a group (of the
            model: `preset`) chooses the option: `dataset={"name": "folder", "root": "videos"}`. None is `null`.

    Returns:
        The run: its records, checkpoints and directory, test figures, and the trained classifier.

    Raises:
        ConfigError: a mistake in the settings, with the nearest name of one that does not exist; settings, data and
            machine that do not fit together; a directory with something else. Nothing on disk was changed.
        TrainingStopped: the loss is not finite, too many videos cannot be read, the disk is full; earlier checkpoints
            are kept.
        Interrupted: SIGTERM, SIGHUP or, with `on_usr1="end"`, SIGUSR1, after its state was saved.
        KeyboardInterrupt: Ctrl-C, after its state was saved.

    Example:
        >>> import mae
        >>> run = mae.finetune(
        ...     init_from="outputs/folder-vit_micro", steps=1, warmup_steps=0, batch_size=2, report=False
        ... )
        >>> str(run.directory), run.model.card.class_names, run.test
        ('outputs/folder-vit_micro-finetuned', ('grow', 'move_left'), None)
    """
    command = finetuning.command()
    given = words(command, {"dataset": dataset, "model": model}, settings, overrides, config_dir)
    return _run("finetune", command, given, callbacks, verbose)


def _run(name: str, command: HydraCommand, given: Sequence[str], callbacks: Sequence[Callback], verbose: bool) -> Run:
    """Makes the run that a command of this name would make with these words, and leaves this process as it was."""
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise ConfigError(f"callbacks= takes objects whose class is a mae.Callback, and got {callback!r}")
    raised = None
    with nullcontext() if verbose else silence(), _same_random_state():
        quiet_libraries()
        config = command.config(given)
        caller = Caller([*program(name).split(), *given], tuple(callbacks))
        try:
            command.run(config, caller)
        except CallbackFailed as failed:
            raised = failed.raised
        except Interrupted as interrupted:
            if interrupted.signum != signal.SIGINT:
                raise
            raise KeyboardInterrupt(str(interrupted)) from interrupted
    if raised is not None:
        raise raised  # out here, as the callback raised it
    return Run(Path(config.run_dir))


@contextmanager
def _same_random_state() -> Iterator[None]:
    """Python's generator, which gives initial weights, goes on afterwards as if nothing had been drawn from it."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
