"""Probes of a frozen encoder: features and labels in, figures for each kind of probe out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mae.errors import ConfigError
from mae.evaluation.metrics import Figures, video_figures
from mae.evaluation.probes.attentive import attentive_probe
from mae.evaluation.probes.config import ProbeConfig
from mae.evaluation.probes.fitting import Rows
from mae.evaluation.probes.frozen_features import Features
from mae.evaluation.probes.knn import knn_probe
from mae.evaluation.probes.linear import linear_probe
from mae.seeds import generator


@dataclass(frozen=True)
class Labelled:
    """Features of a list of n videos, and its labels."""

    features: Features
    labels: np.ndarray  # (n,) classes from 0

    @property
    def readable(self) -> np.ndarray:
        """Places of the videos with features."""
        return np.flatnonzero(self.features.there)


@dataclass(frozen=True)
class Repetition:
    """One of the draws that figures are the mean of."""

    seed: int  # of everything random in the probes
    indices: np.ndarray  # training videos that may be used, ascending


def repetitions(config: ProbeConfig, labels: Sequence[int] | np.ndarray, seed: int) -> list[Repetition]:
    """The draws of a run: the first takes the run's seed for its labels, the next ones those that follow."""
    made = []
    for number in range(config.seeds):
        # Small: the seeds of a probe's layers are multiples of it.
        own = int(generator(seed, "probe", number).integers(2**20))
        made.append(Repetition(own, few_of_each_class(labels, config.labels_per_class, seed + number)))
    return made


def used(train: Labelled, draw: Repetition) -> np.ndarray:
    """Places of the training videos that a repetition trains on: those of its draw that can be read."""
    return np.intersect1d(draw.indices, train.readable)


def probe_figures(
    config: ProbeConfig, train: Labelled, test: Labelled, num_classes: int, draws: Sequence[Repetition]
) -> Iterator[tuple[str, list[Figures]]]:
    """Each kind with the figures of its repetitions; one where nothing is random. Videos of `test` that cannot be
    read count as failed.

    Raises:
        ConfigError: no training video, or no video of `test`, can be read.
    """
    for readable, part in [*((used(train, draw), train) for draw in draws), (test.readable, test)]:
        if not len(readable):
            what = "videos to train the probes on" if part is train else "videos to test them on"
            raise ConfigError(f"none of the {what} can be read; the first: {next(iter(part.features.failed.values()))}")
    for kind in config.kinds:
        repeated = draws[:1] if kind == "knn" and config.labels_per_class is None else draws
        figures = []
        for draw in repeated:
            probabilities = np.zeros((len(test.labels), num_classes), np.float32)
            probabilities[test.readable] = _probabilities(kind, config, train, test, num_classes, draw)
            figures.append(video_figures(probabilities, test.features.there, test.labels))
        yield kind, figures


def _probabilities(
    kind: str, config: ProbeConfig, train: Labelled, test: Labelled, num_classes: int, draw: Repetition
) -> np.ndarray:
    """(m, num_classes) of the m readable videos of `test`."""
    indices, asked = used(train, draw), test.readable
    labels = train.labels[indices]
    if kind == "attentive":
        assert train.features.tokens is not None
        assert test.features.tokens is not None
        return attentive_probe(
            Rows(train.features.tokens, indices),
            labels,
            Rows(test.features.tokens, asked),
            num_classes,
            draw.seed,
            learning_rate=config.attentive_learning_rate,
            epochs=config.attentive_epochs,
            least_steps=config.attentive_steps,
        )
    pooled, wanted = train.features.pooled[indices], test.features.pooled[asked]
    if kind == "knn":
        return knn_probe(pooled, labels, wanted, num_classes, config.neighbours)
    return linear_probe(
        pooled,
        labels,
        wanted,
        num_classes,
        draw.seed,
        epochs=config.linear_epochs,
        least_steps=config.linear_steps,
    )


def few_of_each_class(labels: Sequence[int] | np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """Places of `count` videos of each class, ascending; of a class that has fewer, all; None: all of every class.

    With the same seed the videos of a smaller count are among those of a larger one, so figures over the number of
    labels are of growing sets.
    """
    labels = np.asarray(labels)
    if count is None:
        return np.arange(len(labels))
    drawn = [
        generator(seed, "few labels", int(label)).permutation(np.flatnonzero(labels == label))[:count]
        for label in np.unique(labels)
    ]
    return np.sort(np.concatenate(drawn))
