"""Whether features show in which order things happen: a sign of motion that needs no labels.

Each clip has a twin, the same clip with its tubelets in another order. Every token of the one is in the other, too, at
another time: nothing within a tubelet, and no statistic over the clip, tells them apart. Whoever does it has compared
what is seen at one time with what is seen at another.
"""

import numpy as np

from mae.evaluation.probes.attentive import AttentiveProbe
from mae.evaluation.probes.halves import held_out_probabilities
from mae.seeds import generator
from mae.signals import Check


def other_orders(num_clips: int, times: int) -> np.ndarray:
    """For each of k clips the tubelets of its twin, (k, times), always the same; there must be two times at least.

    Neither the order of the clip nor, where there are others, that of the clip played backwards: what moves left and
    what moves right are each other's reversed twins, and neither is the wrong one.
    """
    forwards = np.arange(times)
    excluded = [forwards] if times == 2 else [forwards, forwards[::-1]]
    orders = np.empty((num_clips, times), int)
    for clip in range(num_clips):
        rng = generator(0, "order of a twin", clip)
        orders[clip] = forwards
        while any(np.array_equal(orders[clip], order) for order in excluded):
            orders[clip] = rng.permutation(times)
    return orders


def reordered(clips: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Clips (k, T, H, W, c) with their tubelets in the given orders (k, times)."""
    count, num_frames = clips.shape[:2]
    tubelets = clips.reshape(count, orders.shape[1], num_frames // orders.shape[1], *clips.shape[2:])
    return tubelets[np.arange(count)[:, None], orders].reshape(clips.shape)


def order_accuracy(
    probe: AttentiveProbe, features: np.ndarray, twins: np.ndarray, is_second: np.ndarray, check: Check
) -> float:
    """The share of clips that a probe tells from their twins, given both; chance is one half.

    A clip and its twin are fitted on together, or judged together by a probe that saw neither.

    Args:
        probe: of two classes.
        features, twins: (n, tokens, d) of the clips and of their twins.
        is_second: (n,) bool, the half that a clip is in.
    """
    count = len(features)
    probabilities = held_out_probabilities(
        probe, np.concatenate([features, twins]), np.repeat([0, 1], count), np.tile(is_second, 2), check
    )
    of_clips, of_twins = probabilities[:count, 0], probabilities[count:, 0]
    return float(np.mean(np.where(of_clips == of_twins, 0.5, of_clips > of_twins)))
