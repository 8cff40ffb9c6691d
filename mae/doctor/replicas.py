"""Whether two replicas train as one does: `python -m mae.doctor.replicas`, in a process of its own.

A small model makes two steps on one device and, from the same weights and with the same batches, on two. Prints how far
apart the weights are then. The devices are two halves of the CPU, so that it can be found out on any machine.
"""

import numpy as np

from mae.cli.backend import load_backend
from mae.cli.exit_status import exit_statuses
from mae.cli.output import guard_output
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
    from mae.doctor.trial import Trial
    from mae.engines.engine import Setup
    from mae.engines.start import start_engine

    engine = start_engine(Setup(strategy, device="cpu"))
    trial = Trial(engine, architecture("vit_tiny", **_SIZES, **_DECODER), BATCH, mask_ratio=0.75, precision="float32")
    trial.make_steps(STEPS)
    return trial.weights()


if __name__ == "__main__":
    quiet_libraries()
    guard_output()
    with exit_statuses():
        load_backend()
        print(largest_difference())
