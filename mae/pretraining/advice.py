"""Says early that pre-training learns its loss and nothing of what moves: once in a run, from its records alone.

They go on with a run that was interrupted, so what was said before is known from them, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mae.evaluation.probes.signs import Sign
from mae.target_config import Target
from mae.training.meter import Record

# The loss has fallen where it is below this share of the trivial predictor's. Before, at most the average is learnt:
# with normalised targets the loss begins far above that of the average, and comes down to it in the first steps.
FALLEN = 0.9
# Looks in a row that must find so: features may begin to move some hundred steps after the loss has fallen.
LOOKS = 2


def untried_settings(target: Target, masking: str, mask_ratio: float, optimizer: str) -> list[str]:
    """What paid across sets (`recipe=micro`), as far as a run does not have it yet; other ways where it has it all."""
    has = {
        "target=difference target_pixels=0.5": target.is_difference and target.pixels > 0,
        "masking=random mask_ratio=0.5": masking == "random" and mask_ratio <= 0.5,
        "optimizer=muon": optimizer == "muon",
    }
    return [settings for settings, is_set in has.items() if not is_set] or [
        "another dataset.frame_stride=",
        "target=pixels mask_ratio=0.9",
        "mask_motion=hide",
    ]


@dataclass(frozen=True)
class Advisor:
    """Compares what the loss says with what the signs say."""

    signs: Sequence[Sign]
    trivial_loss: float  # of the trivial predictor
    is_trained: bool  # the run began with trained weights: what the signs were at its step 0 is no floor
    untried: Sequence[str]  # settings to try, see `untried_settings`

    def advice(self, records: Sequence[Record]) -> str | None:
        """A warning with its remedies where the last record, a look, is the first that calls for it.

        It does where at this look and the `LOOKS` − 1 before it the loss logged last had fallen (`FALLEN`) and none of
        the signs that could had moved (`Sign.least`).

        Args:
            records: of the run, in their order.
        """
        able, loss, in_row = self._able(records), None, 0
        for record in records:
            moved = [record[sign.key] >= least for sign, least in able if sign.key in record]
            if moved:
                has_fallen = loss is not None and loss <= FALLEN * self.trivial_loss
                in_row = in_row + 1 if has_fallen and not any(moved) else 0
                if in_row == LOOKS:
                    # An earlier look has said it already.
                    return self._warning(able, records, loss) if record is records[-1] else None
            loss = record.get("loss", loss)
        return None

    def _able(self, records: Sequence[Record]) -> list[tuple[Sign, float]]:
        """The signs that were not as high as they can be from the start, and what they have to reach."""
        least = [(sign, sign.least(self._before(sign, records))) for sign in self.signs]
        return [(sign, share) for sign, share in least if share < 1]

    def _before(self, sign: Sign, records: Sequence[Record]) -> float | None:
        """The sign of the untrained encoder, where it was looked at."""
        return None if self.is_trained or records[0]["step"] != 0 else records[0].get(sign.key)

    def _warning(self, able: Sequence[tuple[Sign, float]], records: Sequence[Record], loss: float | None) -> str:
        told = [
            sign.describe(self._before(sign, records), records[-1][sign.key])
            for sign, _ in able
            if sign.key in records[-1]
        ]
        return (
            f"WARNING: the loss has fallen to {loss:.4f} (the trivial predictor's is {self.trivial_loss:.4f}), but the "
            f"features tell nothing of what moves: {', '.join(told)}. Backgrounds may be all that is learnt. "
            f"Try {', '.join(self.untried)}: see docs/small_sets.md"
        )
