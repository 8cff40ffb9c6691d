"""A pre-training run from a config: what is trained on, what is looked at, what came out."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mae.checkpoints.load import LoadReport, load_weights
from mae.checkpoints.run_state import Checkpoint
from mae.checkpoints.weights import Weights
from mae.cli.telling import tell
from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader
from mae.data.few import reader_of_few
from mae.data.lists.index import build_index
from mae.data.rendered.render import print_rendering
from mae.engines.engine import Engine, HostBatch, Losses
from mae.errors import ConfigError
from mae.evaluation.reconstruction import FixedBatch, make_fixed_batch
from mae.models.pretrainer import Pretrainer
from mae.models.work import flops_per_clip
from mae.pretraining.advice import Advisor, untried_settings
from mae.pretraining.batches import drawn_mask, masked_batches, training_masks
from mae.pretraining.config import PretrainConfig
from mae.pretraining.evaluation import PretrainEvaluation
from mae.pretraining.known_loss import KnownLoss
from mae.pretraining.own_shape import OwnShape, loss_in_own_shape
from mae.pretraining.periodic_probe import PeriodicProbe, ProbePlan
from mae.pretraining.report import clip_figures, clip_rows, print_summary, run_rows
from mae.pretraining.step import pretraining_losses
from mae.seeds import generator
from mae.training.caller import Caller
from mae.training.clips import clip_spec, clips_in_memory
from mae.training.launch import launch
from mae.training.meter import Cadence
from mae.training.next_commands import readable_video
from mae.training.objective import Objective, Row
from mae.training.overfit import overfit_row
from mae.training.plan import TrainingPlan
from mae.training.session import Session
from mae.training.starting_weights import starting_weights

FIXED_CLIPS = 4


def pretrain(config: PretrainConfig, caller: Caller | None = None) -> None:
    """Starts or continues the run that `config` describes; arguments and errors as of `mae.training.launch.launch`."""
    launch(config, Pretraining, caller)


class Pretraining(Objective):
    """What is pre-training's own in a run."""

    def __init__(self, config: PretrainConfig, engine: Engine, checkpoint: Checkpoint | None) -> None:
        self.config = config
        # Before the list: the demo's videos are rendered where they are missing.
        self.weights = None if checkpoint is not None else _weights_to_start_from(config)
        self.reader = _reader(config, engine.workers.is_chief)
        self.index = self.reader.index
        self.batch = _fixed_batch(config, self.reader)
        self.known_loss = KnownLoss(self.batch.digest(config.predicted))
        self.loaded: LoadReport | None = None
        self.own_shape: OwnShape | None = None  # of the weights it starts from, where that is another
        self.plan = TrainingPlan(config, len(self.index.paths), engine.num_replicas)
        self.probe = ProbePlan(config.probe, self.index, self.plan.total_steps, config.architecture)
        self.cadence = Cadence.of(config, self.plan, config.evaluate_every, self.probe.every)
        self.footprint = clips_in_memory(
            config, self.reader.spec, engine.workers.count, len(self.probe.indices), self.probe.feature_bytes
        )

    def rows(self, session: Session) -> list[Row]:
        c = self.config
        looks = [
            ("clips in memory", str(self.footprint)),
            self.probe.row(),
            *overfit_row(c.overfit_clips, "clip and mask"),
        ]
        return [*self.plan.rows(), *clip_rows(c), *looks, *run_rows(c, self.index, session)]

    def figures(self) -> Mapping[str, Any]:
        return {**self.plan.figures(), **clip_figures(self.config)}

    def trivial_loss(self) -> float:
        return self.batch.trivial_loss(self.config.model.architecture, self.config.predicted)

    def flops_per_clip(self) -> float:
        a = self.config.model.architecture
        return flops_per_clip(a, a.num_tokens - self.config.num_masked, self.config.num_predicted[0])

    def build(self, engine: Engine) -> Pretrainer:
        c = self.config
        architecture = engine.suited(c.architecture, c.model.given)
        model = Pretrainer(architecture, name="pretrainer", dtype=engine.dtype_policy(c.precision))
        model.build_whole()
        return model

    def start(self, session: Session) -> None:
        if self.weights is None:
            return
        c = self.config
        self.own_shape = self._loss_in_own_shape(session)
        report = load_weights(self.weights, session.model, c.allow_missing or (), positions=c.init_positions)
        if session.optimizer.average is not None:
            session.optimizer.average.restart()
        session.workers.say(report.summary())
        if report.fresh_decoder:
            session.workers.say("NOTE: the decoder starts at random: the loss starts as if nothing had been learnt")
        self.loaded = report
        self.licence = report.training.licence

    def _loss_in_own_shape(self, session: Session) -> OwnShape | None:
        """See `loss_in_own_shape`; it is told only, so that nothing ends where it cannot be computed."""
        if not session.workers.is_chief:
            return None
        assert self.weights is not None
        try:
            return loss_in_own_shape(self.config, session.engine, self.weights, self.reader, FIXED_CLIPS)
        except ConfigError as error:
            tell(f"NOTE: what the weights lose in the shape of the file cannot be told: {error}")
            return None

    def restore(self, checkpoint: Checkpoint) -> None:
        super().restore(checkpoint)
        self.known_loss.restore(checkpoint.meta.get("fixed_batch"))

    def state(self) -> Mapping[str, Any]:
        return {**super().state(), "fixed_batch": self.known_loss.state()}

    def losses(self, model: Pretrainer) -> Losses:
        return pretraining_losses(model, self.config.predicted, self.config.num_masked, self.config.num_predicted)

    def batches(self, session: Session, first_step: int, bad_videos: BadVideos) -> Iterator[HostBatch]:
        portion = session.portion(first_step, self.plan.total_steps)
        return masked_batches(self.config, self.reader, bad_videos, portion, self.footprint.prefetch)

    def evaluation(self, session: Session) -> PretrainEvaluation:
        probing = session.workers.is_chief and self.probe.every is not None
        probe = PeriodicProbe(session.engine, session.model, self.reader, self.probe) if probing else None
        return PretrainEvaluation(
            self.config,
            self.cadence,
            session.directory,
            session.model,
            self.batch,
            self.batch.prediction(session.engine, session.model),
            self.known_loss,
            self.loaded,
            self.own_shape,
            probe,
            None if probe is None else self._advisor(probe),
        )

    def _advisor(self, probe: PeriodicProbe) -> Advisor:
        c = self.config
        untried = untried_settings(c.predicted, c.masking, c.mask_ratio, c.optimizer.name)
        return Advisor(probe.signs, self.trivial_loss(), c.init_from is not None, untried)

    def finish(self, session: Session) -> None:
        if session.workers.is_chief:
            tell(print_summary(self.config, session.directory.path, readable_video(self.reader)))


def _weights_to_start_from(config: PretrainConfig) -> Weights | None:
    """Those of `init_from`; errors as `starting_weights`. Heads are not seen in a shape: loading compares them."""
    decoder = () if config.allow_missing == "decoder" else ("decoder_embed_dim", "decoder_depth")
    return starting_weights(config, ("embed_dim", "depth", *decoder))


def _reader(config: PretrainConfig, is_chief: bool) -> ClipReader:
    """Of the training videos; the demo's are rendered where they are missing."""
    c = config
    spec = clip_spec(c, c.dataset.frame_stride, c.model.architecture)
    tell = print_rendering if is_chief else lambda done, total: None
    index = build_index(c.dataset, c.data.max_bad_frac, tell, c.data.frames)
    reader = ClipReader(index, spec, c.seed, c.data.timeout_s)
    return reader if c.overfit_clips is None else reader_of_few(reader, c.overfit_clips, over_classes=False)


def _fixed_batch(config: PretrainConfig, reader: ClipReader) -> FixedBatch:
    """The clips whose reconstruction is looked at."""

    def mask_of(example: int, clip: np.ndarray) -> np.ndarray:
        # What was learnt by heart is looked at as it was trained on.
        if config.overfit_clips is not None:
            return training_masks(config)(0, example, 0, clip)
        return drawn_mask(config, generator(config.seed, "probe mask", example), clip)

    return make_fixed_batch(reader, len(reader.index.paths), mask_of, FIXED_CLIPS)
