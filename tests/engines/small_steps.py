"""Small steps of pre-training, however their batches are spread over devices and parts."""

from functools import cache

import keras
import numpy as np
from replicas import CompiledStep, engine_of
from tiny import masks, tiny_pretrainer

from mae.engines.engine import StepSettings, UpdateSettings
from mae.engines.optimizer_config import AdamWConfig
from mae.pretraining.step import pretraining_losses
from mae.training.schedules import warmup_cosine

BATCH = 8
# What is compiled in the least time.
SHORT = {"attention": "plain"} if keras.config.backend() == "jax" else {}
LOSSES = ("videomae", 24)  # target, hidden tokens
SHARED = {"weight_decay": 0.05, "final_weight_decay": None, "layer_decay": 0.8, "clip_grad_norm": 0.05}
RATE = warmup_cosine(1e-2, 1e-3, 10, 3, start=1e-3)
ADAMW = AdamWConfig("adamw", **SHARED, beta_1=0.9, beta_2=0.95, epsilon=1e-8)


def batch(seed, bad=()):
    rng = np.random.default_rng(seed)
    valid = np.ones(BATCH, "float32")
    valid[list(bad)] = 0
    return {
        "videos": rng.integers(0, 256, (BATCH, 4, 16, 16, 3), "uint8"),
        "is_masked": masks(BATCH, seed),
        "valid": valid,
        "short": (np.arange(BATCH) % 3 == 0).astype("float32"),  # three of eight
        "decode_ms": np.ones(BATCH, "float32"),
        "path_noise": rng.random((BATCH, 2, 2)).astype("float32"),
    }


def trained(replicas=1, accumulate=1, batches=None, jit=False, dtype=None, sharded=False, begin=None, **update):
    """Weights, slots and scalars after a step on each of `batches`.

    Args:
        begin: variables by name that begin with other values.
        update: what differs in `UpdateSettings`.
    """
    step = compiled_step(replicas, accumulate, jit, dtype, sharded, **update)
    return step.train(batches or [batch(0), batch(1), batch(2, bad=[5])], begin or {})


@cache
def compiled_step(replicas, accumulate, jit, dtype, sharded, **update):
    """Compiled once for all tests that train alike."""
    engine = engine_of(replicas, sharded)

    def build():
        model = tiny_pretrainer(drop_path_rate=0.3, dtype=dtype, **SHORT)
        return model, engine.optimizer(model, UpdateSettings(ADAMW, RATE, 0.05, **update))

    settings = StepSettings(BATCH, accumulate, jit)
    return CompiledStep(engine, build, lambda model: pretraining_losses(model, *LOSSES), settings)
