"""What weights lose in the shape of clips that they come from: a run of another shape tells what the change costs."""

from dataclasses import dataclass, replace

import numpy as np

from mae.checkpoints.load import load_weights
from mae.checkpoints.weights import Weights
from mae.data.clips import ClipReader
from mae.engines.engine import Engine
from mae.errors import ConfigError
from mae.evaluation.reconstruction import make_fixed_batch
from mae.models.pretrainer import Pretrainer
from mae.picture_size import shown_size
from mae.presets import Architecture
from mae.pretraining.batches import drawn_mask
from mae.pretraining.config import PretrainConfig
from mae.seeds import generator

SHAPE = ("num_frames", "image_size", "patch_size", "tubelet_size")
_RELEASED_TOKENS = 8 * 16 * 16  # of the largest released model, whose files do not tell their clips


@dataclass(frozen=True)
class OwnShape:
    """The shape that weights were trained in, and what they lose there on the clips of the fixed batch."""

    architecture: Architecture
    loss: float

    def compare(self, loss: float) -> str:
        """A line: the loss in the shape of the run beside the one in their own."""
        a, change = self.architecture, 100 * (loss / self.loss - 1)
        patches = "×".join(map(str, a.tubelet))
        told = f"{a.num_frames} frames of {shown_size(a.image_size)} pixels in patches of {patches}"
        return (
            f"fixed batch in the shape of the file ({told}): loss {self.loss:.4f}; the change of shape makes it "
            f"{abs(change):.1f} % {'more' if change > 0 else 'less'}"
        )


def own_architecture(weights: Weights, architecture: Architecture) -> Architecture | None:
    """The model of a run in the shape that a pre-trained file tells; None: it has that shape, or holds no decoder.

    A file that does not tell its clips is taken for a released one, unless its patches are smaller than theirs.

    Raises:
        ConfigError: the file tells sizes that no model has.
    """
    told = weights.sizes()
    own = replace(architecture, **{name: told[name] for name in SHAPE if name in told})
    is_assumed = {"num_frames", "image_size"} & {*weights.assumed}
    if own == architecture or weights.kind != "pretrainer" or (is_assumed and own.num_tokens > _RELEASED_TOKENS):
        return None
    return own


def loss_in_own_shape(
    config: PretrainConfig, engine: Engine, weights: Weights, reader: ClipReader, clips: int
) -> OwnShape | None:
    """The loss on the fixed batch of the run, read in the shape of the file; None: the run has that shape.

    Masks are drawn as those of the fixed batch, on another grid of tokens where there is one. The model is there only
    for so long.

    Args:
        weights: they are left as they are.
        reader: of the run.
        clips: of the fixed batch.

    Raises:
        ConfigError: in that shape there is no such mask or target, or the weights fit no model.
    """
    own = own_architecture(weights, engine.suited(config.architecture, config.model.given))
    if own is None:
        return None
    config.predicted.check_frames(own.num_frames)
    spec = replace(reader.spec, num_frames=own.num_frames, image_size=own.image_size)

    def mask_of(example: int, clip: np.ndarray) -> np.ndarray:
        return drawn_mask(config, generator(config.seed, "probe mask", example), clip, own.tubelet)

    try:
        batch = make_fixed_batch(
            ClipReader(reader.index, spec, reader.seed, reader.timeout_s), len(reader.index.paths), mask_of, clips
        )
    except ValueError as error:  # also what `mae.masking` says of a grid that is too small
        raise ConfigError(str(error)) from error
    model = Pretrainer(own, name="pretrainer", dtype=engine.dtype_policy(config.precision))
    model.build_whole()
    load_weights(replace(weights), model, config.allow_missing or (), config.init_positions)
    predicted = batch.prediction(engine, model)()
    return OwnShape(own, batch.loss(predicted, own, config.predicted))
