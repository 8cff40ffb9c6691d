"""A small set of videos as its own test: each half is judged by a probe that was fitted on the other."""

import numpy as np

from mae.evaluation.probes.attentive import AttentiveProbe
from mae.evaluation.probes.fitting import Rows
from mae.signals import Check


def every_other(groups: np.ndarray) -> np.ndarray:
    """Which half each video is in: (n,) groups → (n,) bool, every other one of each group."""
    is_second = np.zeros(len(groups), bool)
    for group in np.unique(groups):
        is_second[np.flatnonzero(groups == group)[1::2]] = True
    return is_second


def held_out_probabilities(
    probe: AttentiveProbe, features: np.ndarray, labels: np.ndarray, is_second: np.ndarray, check: Check
) -> np.ndarray:
    """What a probe says of each row that it was not fitted on.

    Args:
        features: (n, tokens, d).
        labels: (n,) classes.
        is_second: (n,) bool, the half that a row is in.
        check: called before every update; may give it up.

    Returns:
        (n, classes) probabilities, float32.
    """
    halves = [np.flatnonzero(~is_second), np.flatnonzero(is_second)]
    told = [
        probe.fitted(Rows(features, train), labels[train], Rows(features, test), check)
        for train, test in (halves, halves[::-1])
    ]
    probabilities = np.empty((len(features), told[0].shape[1]), np.float32)
    probabilities[halves[1]], probabilities[halves[0]] = told
    return probabilities
