"""Whether two replicas train as one does: `python -m mae.doctor.replicas`, in a process of its own.

A small model makes two steps on one device and, from the same weights and with the same batches, on two. Prints how far
apart the weights are then. The devices are two halves of the CPU, so that it can be found out on any machine.
"""

import numpy as np

from mae.cli.backend import load_backend
from mae.cli.exit_status import exit_statuses
from mae.cli.quiet import quiet_libraries
from mae.presets import architecture

BATCH, STEPS = 4, 2
NEAR = 1e-5  # the sums of gradients are added up in another order
_SIZES = {"image_size": 16, "num_frames": 4, "patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2}
_DECODER = {"decoder_embed_dim": 12, "decoder_depth": 1, "decoder_num_heads": 2}


def largest_difference() -> float:
    """Between any two values of the weights."""
    from mae.engines.start import split_cpu

    split_cpu(2)
    one, two = (_trained_weights(strategy) for strategy in ("single", "mirrored"))
    return max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True))


def _trained_weights(strategy: str) -> list[np.ndarray]:
    from mae.engines.engine import Setup, StepSettings, UpdateSettings
    from mae.engines.optimizer_config import AdamWConfig
    from mae.engines.start import start_engine
    from mae.models.pretrainer import Pretrainer
    from mae.pretraining.step import pretraining_losses

    engine = start_engine(Setup(strategy, device="cpu"))
    with engine.scope():
        model = Pretrainer(architecture("vit_tiny", **_SIZES, **_DECODER), name="pretrainer")
        model.build()
        config = AdamWConfig("adamw", 0.05, None, None, None, beta_1=0.9, beta_2=0.95, epsilon=1e-8)
        optimizer = engine.optimizer(model, UpdateSettings(config, 1e-3, 0.05))
    drawn = [np.random.default_rng(i).normal(0.1, 0.3, v.shape) for i, v in enumerate(model.trainable_variables)]
    engine.assign(model.trainable_variables, [values.astype("float32") for values in drawn])
    step = engine.step(model, optimizer, pretraining_losses(model, "videomae", 6), StepSettings(BATCH))
    for batch in engine.distribute(_batch(seed) for seed in range(STEPS)):
        engine.scalars(step(batch))
    return engine.read(model.trainable_variables)


def _batch(seed: int) -> dict[str, np.ndarray]:
    from mae.masking import tube_mask

    rng = np.random.default_rng(seed)
    return {
        "videos": rng.integers(0, 256, (BATCH, 4, 16, 16, 3), "uint8"),
        "is_masked": tube_mask((2, 2, 2), 0.75, BATCH, seed),
        "valid": np.ones(BATCH, "float32"),
        "short": np.zeros(BATCH, "float32"),
        "decode_ms": np.ones(BATCH, "float32"),
        "path_noise": rng.random((BATCH, 1, 2)).astype("float32"),
    }


if __name__ == "__main__":
    quiet_libraries()
    with exit_statuses():
        load_backend()
        print(largest_difference())
