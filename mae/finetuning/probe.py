"""Probes of a frozen encoder from a config: its features of two lists, small classifiers on them, figures."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from mae.cli.telling import tell
from mae.data.clips import ClipReader
from mae.data.lists.splits import build_splits, how_to_hold_out
from mae.data.lists.video_index import VideoIndex
from mae.data.rendered.render import print_rendering
from mae.data.sampling import CENTERS, KINDS
from mae.engines.engine import Engine
from mae.engines.start import start_engine
from mae.errors import ConfigError
from mae.evaluation.metrics import Figures
from mae.evaluation.probes.frozen_features import FrozenEncoder
from mae.evaluation.probes.looked_at import LOOKED_AT, LookedAt
from mae.evaluation.probes.report import Probed, probe_content, probe_table
from mae.evaluation.probes.run import Labelled, probe_figures, repetitions
from mae.evaluation.report import write_json
from mae.evaluation.trained import Trained, load_encoder, random_encoder
from mae.finetuning.class_names import agreed_names
from mae.finetuning.config import RANDOM, FinetuneConfig
from mae.finetuning.evaluate import report_directory
from mae.monitoring.console import format_table
from mae.report.at_end import leave_report
from mae.training.caller import Caller
from mae.training.clips import clip_spec
from mae.training.run_directory import RunDirectory


def probe(config: FinetuneConfig, caller: Caller | None = None) -> None:
    """Probes the encoder of `init_from` on the list that mode=eval tests on, and writes `probe.json`.

    Raises:
        ConfigError: no list to test on, lists that do not fit together, or a run directory that is another run's.
        Interrupted: see `FrozenEncoder.features`.
    """
    assert config.init_from is not None  # the config saw to that
    directory = report_directory(config.run_dir, Path(config.init_from))
    engine = start_engine(config.setup)
    with engine.scope():
        trained = _encoder(config, engine)
    splits = build_splits(config.dataset, config.data.max_bad_frac, print_rendering, config.data.frames)
    train, test = splits.train, splits.test
    if test is None:
        raise ConfigError(f"dataset={config.dataset.name} has no list to test on: {how_to_hold_out(config.dataset)}")
    num_classes = len(agreed_names(train, config, None, None))
    rows = [("encoder", trained.description), ("devices", engine.describe_devices())]
    tell(format_table([*rows, *train.rows(), ("test videos", str(len(test.paths)))], "probe"))
    with directory:
        directory.note_use(asdict(config), (caller or Caller()).command)
        content = _probe(config, directory, engine, trained, train, test, num_classes)
        write_json(directory.path / "probe.json", content)
        tell(probe_table(content, directory.path))
        if config.report:
            tell(leave_report(directory.path))


def _keep_features(directory: RunDirectory, test: Labelled, index: VideoIndex) -> None:
    """Those of the tested videos that could be read, for a report."""
    there = test.readable
    paths = [index.paths[video] for video in there]
    kept = LookedAt(test.features.pooled[there], paths, test.labels[there], index.class_names)
    kept.write(directory.path / LOOKED_AT)


def _encoder(config: FinetuneConfig, engine: Engine) -> Trained:
    """The encoder to probe, its weights as they come."""
    assert config.init_from is not None
    stride, dtype = config.dataset.frame_stride, engine.dtype_policy(config.precision)
    own = KINDS[config.data.sampler]
    if config.init_from == RANDOM:
        architecture = engine.suited(config.model.architecture, config.model.given)
        return random_encoder(architecture, config.seed, dtype, stride, config.probe.sampler or own)
    told = {name: getattr(config.model, name) for name in ("image_size", "num_frames", "num_heads")}
    trained = load_encoder(
        config.init_from, stride, dtype, told, config.probe.sampler, config.inflate, config.data.resize
    )
    if "sampler" not in trained.assumed:
        return trained
    return replace(trained, sampler=own, assumed=tuple(name for name in trained.assumed if name != "sampler"))


def _probe(
    config: FinetuneConfig,
    directory: RunDirectory,
    engine: Engine,
    trained: Trained,
    train: VideoIndex,
    test: VideoIndex,
    num_classes: int,
) -> dict[str, object]:
    """The content of `probe.json`."""
    assert train.labels is not None
    assert test.labels is not None
    spec = clip_spec(config, config.dataset.frame_stride, trained.model.architecture)
    spec = replace(spec, sampler=CENTERS[trained.sampler])
    encoder = FrozenEncoder(
        trained=trained,
        engine=engine,
        folder=directory.path / "features",
        batch_size=config.eval_batch_size * engine.local_replicas,
        workers=config.data.workers,
        token_dtype=config.probe.token_dtype if config.probe.needs_tokens else None,
    )
    draws = repetitions(config.probe, train.labels, config.seed)
    asked = [np.unique(np.concatenate([draw.indices for draw in draws])), np.arange(len(test.paths))]
    known, new = (
        Labelled(
            encoder.features(ClipReader(index, spec, config.seed, config.data.timeout_s), videos),
            np.array(index.labels),
        )
        for index, videos in zip((train, test), asked, strict=True)
    )
    _keep_features(directory, new, test)
    figures: dict[str, list[Figures]] = {}
    tell(f"training probes: {', '.join(config.probe.kinds)}")
    for kind, repeated in probe_figures(config.probe, known, new, num_classes, draws):
        figures[kind] = repeated
        tell(f"{kind}: top-1 {100 * np.mean([each.top1 for each in repeated]):.2f} %")
    probed = Probed(
        config=config.probe,
        seed=config.seed,
        clip={
            "num_frames": spec.num_frames,
            "frame_stride": spec.frame_stride,
            "image_size": spec.image_size,
            "sampler": spec.kind,
        },
        train_paths=train.paths,
        train_hash=train.digest,
        test_paths=test.paths,
        test_hash=test.digest,
        checkpoint=str(trained.source),
        checkpoint_hash=trained.checksum,
    )
    return probe_content(probed, known, new, draws, figures)
