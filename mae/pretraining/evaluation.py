"""How a pre-training run is looked at: pictures of a few clips, and now and then the features of many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mae.checkpoints.load import LoadReport
from mae.cli.telling import tell
from mae.evaluation.probes.looked_at import LOOKED_AT
from mae.evaluation.reconstruction import FixedBatch
from mae.models.pretrainer import Pretrainer
from mae.monitoring.metrics import read_metrics
from mae.monitoring.moving import save_moving
from mae.monitoring.panels import save_png
from mae.pretraining.advice import Advisor
from mae.pretraining.config import PretrainConfig
from mae.pretraining.known_loss import KnownLoss, compare_with_expected
from mae.pretraining.own_shape import OwnShape
from mae.pretraining.periodic_probe import PeriodicProbe
from mae.pretraining.report import compare_by_motion, compare_with_trivial
from mae.signals import Check, never
from mae.training.journal import Journal
from mae.training.meter import Cadence, Record
from mae.training.objective import Evaluation
from mae.training.run_directory import RunDirectory


@dataclass(frozen=True)
class PretrainEvaluation(Evaluation):
    """What is looked at in a model."""

    config: PretrainConfig
    cadence: Cadence
    directory: RunDirectory
    model: Pretrainer
    batch: FixedBatch
    predict: Callable[[], np.ndarray]  # `batch.prediction`
    known_loss: KnownLoss  # of the batch
    loaded: LoadReport | None  # what the run starts from; None: nothing, or a checkpoint of its own
    own_shape: OwnShape | None  # of these weights; None: nothing is known of another shape
    probe: PeriodicProbe | None
    advisor: Advisor | None  # of the probe's figures

    def __call__(self, step: int, journal: Journal, check: Check) -> Record:
        record: Record = {}
        if self.cadence.is_due(self.cadence.evaluate_every, step):
            record |= self._reconstruct(step, journal, check)
        if self.probe is not None and self.cadence.is_due(self.cadence.probe_every, step):
            record |= self._look(self.probe, step, check)
            self._advise({"step": step, **record})
        return record

    def before_training(self, journal: Journal) -> Record:
        """What the features are worth before any training, and what loaded weights make of the fixed batch.

        Badly loaded ones show here.
        """
        record: Record = {}
        if self.loaded is not None:
            record |= self._reconstruct(0, journal, never)
            expected = self.known_loss.expected(self.loaded)
            record |= {} if expected is None else {"expected_fixed_batch_loss": expected}
            tell(compare_with_expected(record["fixed_batch_loss"], expected, self.loaded))
        if self.own_shape is not None:
            record["fixed_batch_loss_in_own_shape"] = self.own_shape.loss
            tell(self.own_shape.compare(record["fixed_batch_loss"]))
        if self.probe is not None:
            record |= self._look(self.probe, 0, never)
        return record

    def course(self, records: Sequence[Record]) -> str | None:
        return None if self.probe is None else self.probe.course(records)

    def _look(self, probe: PeriodicProbe, step: int, check: Check) -> Record:
        figures = probe.figures(check)
        probe.keep(self.directory.path / LOOKED_AT, step)
        return figures

    def _advise(self, record: Record) -> None:
        """Prints what the records up to this one call for; they are those in the file, also after a resume."""
        assert self.advisor is not None
        advice = self.advisor.advice([*read_metrics(self.directory.metrics), record])
        if advice is not None:
            tell(advice)

    def _reconstruct(self, step: int, journal: Journal, check: Check) -> Record:
        target, architecture = self.config.predicted, self.model.architecture
        predicted = self.predict()
        check()
        loss = self.batch.loss(predicted, architecture, target)
        parts = self.batch.by_motion(predicted, architecture, target)
        reconstruction = self.batch.reconstruct(predicted, architecture, target)
        check()
        path = self.directory.reconstructions / f"step_{step:08d}.png"
        journal.draw(step, "reconstruction", path, lambda to: save_png(to, reconstruction.picture(step, loss)))
        moving = path.with_suffix(".gif")
        journal.draw(
            step, "reconstruction_moving", moving, lambda to: save_moving(to, reconstruction.movie(step, loss))
        )
        self.known_loss.note(loss, step)
        if step == self.cadence.total_steps:
            tell(compare_with_trivial(loss, self.batch.trivial_loss(architecture, target), target))
            tell(compare_by_motion(parts))
        return {
            "fixed_batch_loss": loss,
            **{f"fixed_batch_loss_{name}": part.loss for name, part in parts.items()},
            "psnr": reconstruction.psnr,
        }
