"""The test of a trained classifier from a config, and the parts of it that a run shares."""

from dataclasses import asdict
from pathlib import Path

import tensorflow as tf

from mae.data.clips import ClipReader
from mae.data.lists.splits import evaluation_list, numbers_by_name
from mae.data.shapes.render import print_rendering
from mae.engines.tensorflow.inference import Logits, replicated_logits
from mae.engines.tensorflow.strategy import make_strategy
from mae.errors import ConfigError
from mae.evaluation.multi_view.evaluator import VideoEvaluation, report_table
from mae.evaluation.trained import load_classifier
from mae.finetuning.class_names import reported_names
from mae.finetuning.config import FinetuneConfig
from mae.monitoring.console import format_table
from mae.training.clips import clip_spec
from mae.training.run_directory import RunDirectory


def evaluate(config: FinetuneConfig) -> None:
    """Tests `init_from`, or the newest checkpoint of `run_dir`, and writes the figures into `run_dir`.

    Raises:
        ConfigError: no trained head, other classes than the list's, or a run directory that is another run's.
        Interrupted: see `VideoEvaluation.test`.
    """
    source = Path(config.init_from or config.run_dir)
    directory = report_directory(config.run_dir, source)
    if config.init_from is None and not directory.holds_run:
        raise ConfigError(f"mode=eval tests init_from or the run in run_dir={directory.path}, and neither is there")
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    index = evaluation_list(config.dataset, config.data.max_bad_frac, print_rendering)
    strategy = make_strategy(config.strategy)
    told = {name: getattr(config.model, name) for name in ("image_size", "num_frames", "num_heads")}
    with strategy.scope():
        trained = load_classifier(source, None, config.dataset.frame_stride, config.precision, told)
    index, names = reported_names(index, trained.class_names, str(source), numbers_by_name(config.dataset))
    print(format_table([("checkpoint", trained.description), *index.rows()], "test"), flush=True)
    spec = clip_spec(config, config.dataset.frame_stride, trained.model.architecture)
    reader = ClipReader(index, spec, config.seed, config.data.timeout_s)
    evaluation = video_evaluation(config, strategy, replicated_logits(strategy, trained.model), reader, names)
    with directory:
        if not directory.holds_run:
            directory.write_config(asdict(config))
        content = evaluation.test(directory.path, config.test, trained.source)
    print(report_table(content, directory.path))


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


def video_evaluation(
    config: FinetuneConfig,
    strategy: tf.distribute.Strategy,
    logits: Logits,
    reader: ClipReader,
    class_names: tuple[str, ...],
) -> VideoEvaluation:
    """The evaluation of the model behind `logits` (see `replicated_logits`) on the videos of `reader`."""
    return VideoEvaluation(
        logits=logits,
        reader=reader,
        class_names=class_names,
        batch_size=config.eval_batch_size * strategy.num_replicas_in_sync,
        workers=config.data.workers,
    )
