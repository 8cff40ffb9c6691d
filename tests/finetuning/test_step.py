"""One step of fine-tuning, however its batch is spread over devices and parts; and frozen weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from replicas import CompiledStep, assert_same_training, engine_of

from mae.checkpoints.run_state import variables_to_arrays
from mae.engines.engine import StepSettings
from mae.engines.start import build_optimizer
from mae.finetuning.handoff import freeze
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


def trained(replicas=1, accumulate=1, batches=None, group=2, blocks=0, learning_rate=None, **overrides):
    """Weights, slots and scalars after a step on each of `batches`."""

    def build():
        model = classifier(**overrides)
        freeze(model, blocks)
        rate = warmup_cosine(1e-2, 1e-3, 10, 3, start=1e-3) if learning_rate is None else learning_rate
        return model, build_optimizer(model, rate, beta_2=0.999, layer_decay=0.75, clip_grad_norm=0.05)

    def losses_of(model):
        return finetuning_losses(model, label_smoothing=0.1, group=group)

    step = CompiledStep(engine_of(replicas), build, losses_of, StepSettings(BATCH, accumulate))
    return step.train(batches or [batch(0), batch(1, bad=[5]), batch(2)])


@pytest.fixture(scope="module")
def one_replica():
    return trained()


@pytest.mark.parametrize(("replicas", "accumulate"), [(1, 2), (2, 2)])
def test_replicas_and_parts_change_nothing(one_replica, replicas, accumulate):
    assert_same_training(trained(replicas, accumulate), one_replica)


def test_the_loss_is_that_of_mixed_clips_worked_out_by_hand():
    """Cutmix of a quarter of the picture, partners 0-1, 2-3 …; smoothing 0.1 over three classes; clip 6 unreadable."""
    made = batch(3, bad=[6])
    _, scalars = trained(batches=[made], drop_path_rate=0)
    videos, targets = made["videos"].astype("f4").copy(), np.eye(CLASSES)[made["label"]] * 0.9 + 0.1 / 3
    mixed, mixed_targets = videos.copy(), targets.copy()
    for a, b in ((0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4)):  # 7's partner is unreadable: it stays as it is
        mixed[a, :, :8, :8] = videos[b, :, :8, :8]
        mixed_targets[a] = 0.75 * targets[a] + 0.25 * targets[b]
    logits = np.array(classifier(drop_path_rate=0)(normalise(tf.constant(mixed / 255), 3)), np.float64)
    losses = -(mixed_targets * (logits - np.log(np.exp(logits).sum(1, keepdims=True)))).sum(1)
    assert scalars[0]["loss"] == pytest.approx(losses[made["valid"] > 0].mean(), rel=1e-5)
    assert scalars[0]["bad_clips"] == 1


def test_without_mixing_the_batch_needs_no_mixture():
    made = batch(4)
    del made["mixture"]
    _, scalars = trained(batches=[made], group=None, drop_path_rate=0)
    videos = normalise(tf.constant(made["videos"].astype("f4") / 255), 3)
    logits = np.array(classifier(drop_path_rate=0)(videos), np.float64)
    targets = np.eye(CLASSES)[made["label"]] * 0.9 + 0.1 / 3
    losses = -(targets * (logits - np.log(np.exp(logits).sum(1, keepdims=True)))).sum(1)
    assert scalars[0]["loss"] == pytest.approx(losses.mean(), rel=1e-5)


FROZEN = {
    None: ("patch_embed", "block_0", "block_1"),
    1: ("patch_embed", "block_0"),
    2: ("patch_embed", "block_0", "block_1"),
}


@pytest.mark.parametrize("blocks", FROZEN)
def test_frozen_weights_stay_and_the_others_move(blocks):
    start = variables_to_arrays(classifier().variables)
    state, _ = trained(batches=[batch(0)], blocks=blocks, learning_rate=0.01)
    for name, before in start.items():
        if name.endswith(("seed_generator_state", "positions/table")) or "seed_generator" in name:
            continue
        is_frozen = any(f"/{layer}/" in name for layer in FROZEN[blocks])
        assert np.array_equal(state[name], before) is is_frozen, name
    # No slots either: two moments for each weight that trains.
    slots = [name for name in state if name not in start and np.ndim(state[name])]
    frozen = [name for name in start if any(f"/{layer}/" in name for layer in FROZEN[blocks]) and "seed" not in name]
    assert len(slots) == 2 * (len(classifier().trainable_variables) - len(frozen))


def test_learnable_positions_freeze_with_the_embedding():
    for blocks, expected in ((0, True), (1, False), (None, False)):
        model = classifier(positions="learnable")
        freeze(model, blocks)
        assert any(v.path.endswith("positions/table") for v in model.trainable_variables) is expected
