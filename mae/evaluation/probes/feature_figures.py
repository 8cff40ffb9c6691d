"""Figures of an encoder on fixed clips, made again and again while its weights change."""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from mae.evaluation.metrics import accuracy
from mae.evaluation.probes.attentive import AttentiveProbe
from mae.evaluation.probes.halves import every_other, held_out_probabilities
from mae.evaluation.probes.knn import leave_one_out_knn
from mae.evaluation.probes.order import order_accuracy, other_orders, reordered
from mae.evaluation.probes.signs import Sign, signs_of
from mae.evaluation.probes.spread import feature_spread
from mae.signals import Check

Encoded = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class FeatureFigures:
    """Figures of the encoder of one model on fixed clips.

    What they cost is a number of clips and of updates, the same on every machine: results depend on no clock.

    Args:
        encoded: (b, T, H, W, c) uint8 → one vector for each clip (b, d) and its tokens (b, t·cells, d), float32, in
            which those of one time are beside each other.
        clips: (k, T, H, W, c) uint8.
        labels: (k,) classes; None: only what needs no labels.
        times: t.
        batch_size: clips computed at a time.
        attentive_steps: updates of each attentive probe; None: there are none.
    """

    def __init__(
        self,
        encoded: Encoded,
        clips: np.ndarray,
        labels: np.ndarray | None,
        times: int,
        batch_size: int,
        attentive_steps: int | None,
    ) -> None:
        self._encoded = encoded
        self._clips = clips
        # Numbered from 0 on: of the classes of a list, few may be among the clips.
        self._labels = None if labels is None else np.unique(labels, return_inverse=True)[1]
        self._times = times
        self._batch_size = batch_size
        self._attentive_steps = attentive_steps
        self._probes: dict[str, AttentiveProbe] = {}
        self.latest = np.zeros((0, 0), np.float32)  # the vectors that the last figures are of, (k, d)

    @cached_property
    def signs(self) -> list[Sign]:
        """Those among the figures."""
        return [] if self._attentive_steps is None else signs_of(self._labels, len(self._clips), self._times)

    @property
    def num_clips(self) -> int:
        return len(self._clips)

    @property
    def num_classes(self) -> int:
        """That are found among the clips; 0: no labels."""
        return 0 if self._labels is None else len(np.unique(self._labels))

    def figures(self, check: Check) -> dict[str, float]:
        """`feature_rank`, `feature_std`; with labels of at least two classes `probe_top1`; and the `signs`.

        - `probe_top1`: the share of clips whose class a vote of their 20 nearest neighbours among the others finds; of
          small sets fewer vote, as many as an average class has other members.
        - `probe_attentive_top1`: the share whose class an attentive probe finds that was fitted on the other half.
        - `probe_order`: the share that such a probe tells from their twins, see `mae.evaluation.probes.order`.

        `check` is called after every batch and before every update, and may give the look up.
        """
        pooled, tokens = self._encode(check)
        self.latest = pooled
        spread = feature_spread(pooled)
        made = {"feature_rank": spread.rank, "feature_std": spread.std}
        if self.num_classes >= 2:
            made = {"probe_top1": self._nearest_neighbours(pooled), **made}
        told = {"probe_attentive_top1": self._classes_told, "probe_order": self._order_told}
        return made | {sign.key: told[sign.key](tokens, check) for sign in self.signs}

    def _encode(self, check: Check, orders: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Of the clips, or of their twins in these orders: vectors (k, d) and tokens (k, t·cells, d)."""
        pooled, tokens = [], []
        for start in range(0, len(self._clips), self._batch_size):
            batch = slice(start, start + self._batch_size)
            clips = self._clips[batch]
            vectors, cells = self._encoded(clips if orders is None else reordered(clips, orders[batch]))
            pooled.append(vectors)
            tokens.append(cells.astype(np.float16))  # half of the memory; the encoder's last norm keeps them small
            check()
        return np.concatenate(pooled), np.concatenate(tokens)

    def _nearest_neighbours(self, pooled: np.ndarray) -> float:
        assert self._labels is not None
        neighbours = int(np.clip(len(pooled) // self.num_classes - 1, 1, 20))
        votes = leave_one_out_knn(pooled, self._labels, self.num_classes, k=neighbours)
        return accuracy(votes, self._labels)[0]

    def _classes_told(self, tokens: np.ndarray, check: Check) -> float:
        assert self._labels is not None
        probe = self._probe("classes", tokens, self.num_classes)
        told = held_out_probabilities(probe, tokens, self._labels, every_other(self._labels), check)
        return accuracy(told, self._labels)[0]

    def _order_told(self, tokens: np.ndarray, check: Check) -> float:
        _, twins = self._encode(check, other_orders(len(self._clips), self._times))
        probe = self._probe("order", tokens, 2)
        groups = np.zeros(len(tokens)) if self._labels is None else self._labels
        return order_accuracy(probe, tokens, twins, every_other(groups), check)

    def _probe(self, name: str, tokens: np.ndarray, num_classes: int) -> AttentiveProbe:
        """One for each question, made for the first look: later ones need not compile it again."""
        if name not in self._probes:
            assert self._attentive_steps is not None
            self._probes[name] = AttentiveProbe(tokens.shape[1:], num_classes, self._attentive_steps)
        return self._probes[name]
