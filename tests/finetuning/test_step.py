"""One step of fine-tuning, however its batch is spread over devices and parts; and frozen weights."""

import keras
import numpy as np
import pytest
from replicas import CompiledStep, assert_same_training, clip_losses, engine_of

from mae.checkpoints.run_state import variables_to_arrays
from mae.engines.engine import StepSettings
from mae.engines.start import build_optimizer
from mae.finetuning.handoff import freeze
from mae.finetuning.losses import ClassLoss
from mae.finetuning.mixing import Mixture
from mae.finetuning.step import finetuning_losses
from mae.models.classifier import build_classifier
from mae.patches import normalise
from mae.training.schedules import warmup_cosine

BATCH, CLASSES = 8, 3
TINY = {"image_size": 16, "num_frames": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "decoder_num_heads": 2}
CUTMIX = Mixture(1.0, 0.75, (0, 8, 0, 8))


def batch(seed, bad=(), mixture=CUTMIX):
    rng = np.random.default_rng(seed)
    valid = np.ones(BATCH, "float32")
    valid[list(bad)] = 0
    return {
        "videos": rng.integers(0, 256, (BATCH, 4, 16, 16, 3), "uint8"),
        "label": rng.integers(0, CLASSES, BATCH, "int32"),
        "valid": valid,
        "short": np.zeros(BATCH, "float32"),
        "decode_ms": np.ones(BATCH, "float32"),
        "path_noise": rng.random((BATCH, 2, 2)).astype("float32"),
        "mixture": np.tile(mixture.row(), (BATCH, 1)),
    }


def classifier(**overrides):
    keras.utils.set_random_seed(0)
    return build_classifier("vit_tiny", CLASSES, init_scale=1.0, **{**TINY, "drop_path_rate": 0.3, **overrides})


def trained(replicas=1, accumulate=1, batches=None, blocks=0, learning_rate=None):
    """Weights, slots and scalars after a step on each of `batches`."""

    def build():
        model = classifier()
        freeze(model, blocks)
        rate = warmup_cosine(1e-2, 1e-3, 10, 3, start=1e-3) if learning_rate is None else learning_rate
        return model, build_optimizer(model, rate, beta_2=0.999, layer_decay=0.75, clip_grad_norm=0.05)

    def losses_of(model):
        return finetuning_losses(model, ClassLoss(CLASSES, label_smoothing=0.1), group=2)

    step = CompiledStep(engine_of(replicas), build, losses_of, StepSettings(BATCH, accumulate))
    return step.train(batches or [batch(0), batch(1, bad=[5]), batch(2)])


@pytest.fixture(scope="module")
def one_replica():
    return trained()


def test_replicas_and_parts_change_nothing(one_replica):
    assert_same_training(trained(replicas=2, accumulate=2), one_replica)


def losses(made, group):
    """The loss of each clip, without what is random in training."""
    model = classifier(drop_path_rate=0)
    return clip_losses(model, finetuning_losses(model, ClassLoss(CLASSES, label_smoothing=0.1), group=group), made)


def losses_by_hand(videos, targets):
    """Cross-entropy of pictures with values from 0 to 255."""
    model = classifier(drop_path_rate=0)
    logits = engine_of(1).local(model, lambda values: model(normalise(values, 3)))(videos / 255).astype("f8")
    return -(targets * (logits - np.log(np.exp(logits).sum(1, keepdims=True)))).sum(1)


def test_the_loss_is_that_of_mixed_clips_worked_out_by_hand():
    """Cutmix of a quarter of the picture, partners 0-1, 2-3 …; smoothing 0.1 over three classes; clip 6 unreadable."""
    made = batch(3, bad=[6])
    videos, targets = made["videos"].astype("f4"), np.eye(CLASSES)[made["label"]] * 0.9 + 0.1 / 3
    mixed, mixed_targets = videos.copy(), targets.copy()
    for a, b in ((0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4)):  # 7's partner is unreadable: it stays as it is
        mixed[a, :, :8, :8] = videos[b, :, :8, :8]
        mixed_targets[a] = 0.75 * targets[a] + 0.25 * targets[b]
    is_valid = made["valid"] > 0
    expected = losses_by_hand(mixed, mixed_targets)
    np.testing.assert_allclose(losses(made, group=2)[is_valid], expected[is_valid], rtol=1e-5)


def test_without_mixing_the_batch_needs_no_mixture():
    made = batch(4)
    del made["mixture"]
    targets = np.eye(CLASSES)[made["label"]] * 0.9 + 0.1 / 3
    expected = losses_by_hand(made["videos"].astype("f4"), targets)
    np.testing.assert_allclose(losses(made, group=None), expected, rtol=1e-5)


def test_frozen_weights_stay_and_the_others_move():
    """Of a block; that of a whole encoder, test_run.py."""
    start = variables_to_arrays(classifier().variables)
    state, scalars = trained(batches=[batch(0, bad=[6])], blocks=1, learning_rate=0.01)
    assert scalars[0]["bad_clips"] == 1
    layers = ("patch_embed", "block_0")
    frozen = [name for name in start if any(f"/{layer}/" in name for layer in layers) and "seed" not in name]
    for name, before in start.items():
        if not name.endswith("positions/table") and "seed_generator" not in name:
            assert np.array_equal(state[name], before) is (name in frozen), name
    # No slots either: two moments for each weight that trains.
    slots = [name for name in state if name not in start and np.ndim(state[name])]
    assert len(slots) == 2 * (len(classifier().trainable_variables) - len(frozen))


@pytest.mark.parametrize(("blocks", "first"), [(0, "patch_embed"), (1, "block_1"), (2, "head"), (None, "head")])
def test_what_is_frozen_is_what_comes_first(blocks, first):
    model = classifier()
    freeze(model, blocks)
    told = [layer for layer in ("patch_embed", "block_0", "block_1", "head") if _trains(model, layer)]
    assert told[0] == first
    assert told[-1] == "head"


def _trains(model, layer):
    return any(f"/{layer}/" in variable.path for variable in model.trainable_variables)


def test_learnable_positions_freeze_with_the_embedding():
    for blocks, expected in ((0, True), (1, False), (None, False)):
        model = classifier(positions="learnable")
        freeze(model, blocks)
        assert any(v.path.endswith("positions/table") for v in model.trainable_variables) is expected
