"""What an objective brings to a run: begin here to read, or to write, one.

`mae.pretraining.run` and `mae.finetuning.run` hold one each, `mae.training.launch` runs them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mae.data.bad_videos import BadVideos
from mae.data.lists.video_index import VideoIndex
from mae.engines.engine import Engine, HostBatch, Losses
from mae.signals import Check
from mae.training.journal import Journal
from mae.training.meter import Cadence, Record
from mae.training.plan import TrainingPlan

if TYPE_CHECKING:
    from mae.checkpoints.run_state import Checkpoint
    from mae.training.session import Session

Row = tuple[str, str]  # name and value, for a table


class Evaluation(ABC):
    """How a model is looked at while it trains; on the chief only, with averaged weights where there are any."""

    @abstractmethod
    def __call__(self, step: int, journal: Journal, check: Check) -> Record:
        """The figures that are due after `step` steps.

        `check` is called between its parts, each a batch at most; what it raises gives the evaluation up, which may
        then be made anew.
        """

    def before_training(self, journal: Journal) -> Record:
        """The figures before the first step of a new run, which are logged as step 0; by default there are none."""
        return {}

    def course(self, records: Sequence[Record]) -> str | None:
        """How the figure that counts went over the records of the run; None: there is none to tell."""
        return None


class Objective(ABC):
    """What is trained, from the list of videos to the loss of a clip.

    Made before there is a model: what does not fit together is refused then, while nothing on disk is changed.
    """

    licence: str | None = None  # of the weights that `init_from` gave, which holds for what becomes of them
    index: VideoIndex  # the videos that are trained on
    plan: TrainingPlan
    cadence: Cadence

    @abstractmethod
    def rows(self, session: "Session") -> list[Row]:
        """Name and value of what a run works with, for the table at its start."""

    @abstractmethod
    def figures(self) -> Mapping[str, Any]:
        """What the monitors are told beside the config."""

    def trivial_loss(self) -> float | None:
        """The loss of who always says the average, what a model that learnt nothing can reach; None: unknown."""
        return None

    def flops_per_clip(self) -> float | None:
        """Floating-point operations of the matrix products of a clip, forward and backward; None: unknown."""
        return None

    @abstractmethod
    def build(self, engine: Engine) -> Any:
        """The model, built, with an `architecture`; called within the engine's scope, its initialisers seeded."""

    @abstractmethod
    def start(self, session: "Session") -> None:
        """Fills the model of a new run from `init_from`, if that is given, and says so."""

    def restore(self, checkpoint: "Checkpoint") -> None:
        """Takes up the objective's own state, once the session has taken up its."""
        self.licence = checkpoint.meta.get("licence")

    def state(self) -> Mapping[str, Any]:
        """The objective's own state, for the meta data of a checkpoint."""
        return {"licence": self.licence}

    @abstractmethod
    def losses(self, model: Any) -> Losses:
        """The loss of each clip of a batch, in training."""

    @abstractmethod
    def batches(self, session: "Session", first_step: int, bad_videos: BadVideos) -> Iterator[HostBatch]:
        """The rows that this process reads of the batches from `first_step`, counted from 0, to the end of the run."""

    @abstractmethod
    def evaluation(self, session: "Session") -> Evaluation:
        """Made on every worker before the first step; called on the chief."""

    @abstractmethod
    def finish(self, session: "Session") -> None:
        """What follows the last step, and what the person who started the run is told at its end."""
