"""The test of a trained classifier from a config, and the parts of it that a run shares."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mae.checkpoints.target_scale import TargetScale
from mae.cli.telling import tell
from mae.data.clips import ClipReader
from mae.data.lists.splits import evaluation_list
from mae.data.rendered.render import print_rendering
from mae.engines.engine import Engine
from mae.engines.start import start_engine
from mae.errors import ConfigError
from mae.evaluation.multi_view.evaluator import VideoEvaluation, report_table
from mae.evaluation.tasks.table import TASKS
from mae.evaluation.trained import load_classifier
from mae.finetuning.class_names import check_task, reported_names
from mae.finetuning.config import FinetuneConfig
from mae.monitoring.console import format_table
from mae.report.at_end import leave_report
from mae.training.caller import Caller
from mae.training.clips import clip_spec
from mae.training.run_directory import RunDirectory

Logits = Callable[[np.ndarray], np.ndarray]  # (b, T, H, W, c) uint8 → (b, outputs) float32


def evaluate(config: FinetuneConfig, caller: Caller | None = None) -> None:
    """Tests `init_from`, or the newest checkpoint of `run_dir`, and writes the figures into `run_dir`.

    Raises:
        ConfigError: no trained head, other classes than the list's, or a run directory that is another run's.
        Interrupted: see `VideoEvaluation.test`.
    """
    source = Path(config.init_from or config.run_dir)
    directory = report_directory(config.run_dir, source)
    if config.init_from is None and not directory.holds_run:
        raise ConfigError(f"mode=eval tests init_from or the run in run_dir={directory.path}, and neither is there")
    engine = start_engine(config.setup)
    told = {name: getattr(config.model, name) for name in ("image_size", "num_frames", "num_heads")}
    with engine.scope():
        dtype = engine.dtype_policy(config.precision)
        trained = load_classifier(
            source, None, config.dataset.frame_stride, dtype, told, config.test.sampler, config.data.resize
        )
    check_task(trained.model.task, config.task, trained.source)
    index = evaluation_list(config.dataset, config.data.max_bad_frac, print_rendering, config.data.frames, config.task)
    index, names = reported_names(index, trained.class_names, str(source))
    tell(format_table([("checkpoint", trained.description), *index.rows()], "test"))
    spec = clip_spec(config, config.dataset.frame_stride, trained.model.architecture)
    reader = ClipReader(index, spec, config.seed, config.data.timeout_s)
    evaluation = video_evaluation(config, engine, logits_of(engine, trained.model), reader, names)
    with directory:
        directory.note_use(asdict(config), (caller or Caller()).command)
        content = evaluation.test(directory.path, config.test, trained.source)
        tell(report_table(content, directory.path))
        if config.report:
            tell(leave_report(directory.path))


def report_directory(run_dir: str, source: Path) -> RunDirectory:
    """Where figures of the checkpoint `source` go; raises `ConfigError` where those of another run are."""
    directory = RunDirectory(run_dir)
    directory.check("auto")
    is_own = source.resolve().is_relative_to(directory.path.resolve())
    if directory.checkpoints.is_dir() and not is_own:
        raise ConfigError(
            f"run_dir={directory.path} is a run of its own and {source} none of its checkpoints: give another run_dir"
        )
    return directory


def logits_of(engine: Engine, model: Any, scale: TargetScale | None = None) -> Logits:
    """The logits of a classifier, computed on all replicas.

    Args:
        scale: of a head that learns numbers in units of their deviation, which are given in their own; None: another.
    """
    logits = engine.inference(model, lambda videos: model(videos, training=False))
    return logits if scale is None else lambda videos: scale.in_unit(logits(videos))


def video_evaluation(
    config: FinetuneConfig,
    engine: Engine,
    logits: Logits,
    reader: ClipReader,
    class_names: tuple[str, ...],
) -> VideoEvaluation:
    """The evaluation of the model behind `logits` (see `logits_of`) on the videos of `reader`."""
    return VideoEvaluation(
        logits=logits,
        reader=reader,
        class_names=class_names,
        batch_size=config.eval_batch_size * engine.local_replicas,
        workers=config.data.workers,
        task=TASKS[config.task],
    )
