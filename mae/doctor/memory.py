"""How much memory a step of pre-training takes, from the sizes of the model and of what it keeps.

The counts are those of `mae.models.lean`; the constants were fitted to peaks that `benchmarks/train_step.py` measured
on a CPU (docs/seeing.md says which, and how near they come). On a GPU nothing was measured.
"""

from dataclasses import dataclass

from mae.presets import Architecture

RUNTIME = 450_000_000  # bytes that an engine takes beyond its import before there is a model
FLOATS_A_WEIGHT = 5  # weight, gradient, the two slots of AdamW, and one more while it is updated
JAX_ON_CPU = 3.7  # how much more XLA keeps of a step on a CPU


@dataclass(frozen=True)
class StepMemory:
    """Bytes at the peak of a step on one device."""

    runtime: int
    weights: int
    kept: int  # from the forward pass for the backward one, and what is at hand at the end of it

    @property
    def total(self) -> int:
        return self.runtime + self.weights + self.kept


def parameters(a: Architecture) -> int:
    """Values of a pre-training model that are trained."""

    def blocks(width: int, depth: int) -> int:
        hidden = round(width * a.mlp_ratio)
        # Two norms, the fused projection with two biases, the projection back, and the MLP.
        return depth * (4 * width + 3 * width**2 + 2 * width + width**2 + width + 2 * width * hidden + hidden + width)

    d, e = a.embed_dim, a.decoder_embed_dim
    table = a.num_tokens * (d + e) if a.positions == "learnable" else 0
    encoder = (a.patch_dim + 1) * d + blocks(d, a.depth) + 2 * d
    decoder = e + blocks(e, a.decoder_depth) + 2 * e + (e + 1) * a.patch_dim
    return encoder + d * e + decoder + table


def step_memory(
    a: Architecture,
    visible: int,
    predicted: int,
    clips: int,
    accumulates: bool = False,
    averages: bool = False,
    half: bool = False,
    jax_on_cpu: bool = False,
) -> StepMemory:
    """Of a model whose encoder sees `visible` tokens and whose decoder predicts `predicted` ones.

    Args:
        clips: computed at a time by a device.
        accumulates: gradients are added up over parts.
        averages: a moving average of the weights is kept.
        half: computes in bfloat16 or float16.
    """
    floats = FLOATS_A_WEIGHT + accumulates + averages
    size = 2 if half else 4  # bytes of what the model computes with
    seen = visible + predicted

    def kept(tokens: int, width: int, depth: int) -> float:
        # Input, queries, keys and values, what was attended to, the sum, and the hidden layer of the MLP.
        block = tokens * width * (6 + a.mlp_ratio + (0 if a.lean else 2 + a.mlp_ratio))
        return size * (depth * tokens * width + block if a.remat == "blocks" else depth * block)

    blocks = kept(visible, a.embed_dim, a.depth) + kept(seen, a.decoder_embed_dim, a.decoder_depth)
    outputs = 3 * 4 * predicted * a.patch_dim  # predicted, expected, and the gradient, in float32
    hidden = 3 * size * a.mlp_ratio * max(visible * a.embed_dim, seen * a.decoder_embed_dim)
    scores = 0 if a.attention != "plain" else size * a.decoder_num_heads * seen**2 * a.decoder_depth
    return StepMemory(
        runtime=RUNTIME,
        weights=4 * floats * parameters(a),
        kept=int(clips * (blocks + outputs + hidden + scores) * (JAX_ON_CPU if jax_on_cpu else 1)),
    )
