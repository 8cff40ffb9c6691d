"""`python engine_updates.py OUT.npz`: what the engine of Keras' backend makes of the same five updates."""

import sys

import numpy as np
from small_steps import batch, compiled_step

UPDATES = 5


def updates():
    """Losses, the first gradient (as AdamW's mean of it) and all variables at the end, from the same weights."""
    step = compiled_step(replicas=1, accumulate=2, jit=False, dtype=None, sharded=False, ema_decay=0.5)
    rng = np.random.default_rng(5)
    weights = {id(variable) for variable in step.model.trainable_variables}
    for i, variable in enumerate(step.variables):
        if id(variable) in weights:
            step.begin[i] = rng.normal(0, 0.2, variable.shape).astype("float32")
    first, _ = step.train([batch(0)])
    state, scalars = step.train([batch(i, bad=[i]) for i in range(UPDATES)])
    gradients = {f"gradient/{name}": value for name, value in first.items() if name.endswith("_momentum")}
    losses = {f"scalar/{name}": np.array([s[name] for s in scalars]) for name in ("loss", "grad_norm", "learning_rate")}
    return gradients | state | losses


if __name__ == "__main__":
    np.savez(sys.argv[1], **updates())
