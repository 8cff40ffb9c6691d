"""Write the golden numbers of this folder, from implementations that share no code with this project.

Run it in an environment of its own; neither Keras nor TensorFlow is needed, and the tests need neither of these two:

    python -m venv golden && golden/bin/pip install torch transformers
    golden/bin/python tests/golden/make_golden.py

Made with torch 2.13.0 (CPU), transformers 5.23.0, numpy 2.4.6, Python 3.11. Everything is computed in float64 from
inputs and weights that are exact in float32, then stored as float32: a reader's own rounding is the only one.
Names in a file are paths. Videos are stored (b, t, h, w, c); weights and gradients as PyTorch has them, named as in
state_dict(): `…attention.attention.query.bias` and `…value.bias`, which save_pretrained writes as `…q_bias`, `…v_bias`.
Not all norms obey layer_norm_eps (1e-6 here): `decoder.norm` and `fc_norm` have 1e-5 whatever the config says.

pretraining.npz
    VideoMAEForPreTraining. `weights/*`, `videos`, `is_masked` (b, n) give `logits` (b, m, pt*ph*pw*c), `loss` and
    `gradients/*`; `loss_pixels` is the loss of the same weights with norm_pix_loss off. `positions/encoder` and
    `positions/decoder` are the tables the model adds, (n, d). `config` is the config.json, a string.
classification.npz
    VideoMAEForVideoClassification, mean over tokens: `logits`, `loss` (mean cross-entropy of `labels`), `gradients/*`.
classification_first.npz
    The same with use_mean_pooling off: the head reads the first token.
adamw.npz
    torch.optim.AdamW on y = gelu(x @ w1 + b1 + mask_token) @ w2 + b2, exact (erf) gelu, loss mean((y - target)**2)
    over all elements; betas (0.9, 0.95), eps 1e-8, weight decay 0.05 on w1 and w2 only. `x`, `target`, `initial/*`;
    then for each of the four runs `learning_rate` (steps,), `loss` before each step (steps,), `gradient_norm` before
    clipping (steps,), `weights/*` after each step (steps, *shape).
    `schedule/`          linear warm-up, then cosine
    `layerwise/`         constant rate; `layerwise/scales/*` multiplies the rate of a weight and with it its decay
    `clipped/`           `schedule` with the global norm clipped to `clipped/clip_norm`, which every step exceeds
    `clipped_at_first/`  the same with a norm that only the first steps exceed
targets.npz
    `pixels` (b, t, h, w, c) in [0, 1] and what is predicted, (b, n, pt*ph*pw*c), n ordered (t, h, w) and a patch
    (frame, row, column, channel), for tubelet 2 and patch 8. Nothing but loops and sums.
    `targets/videomae`  each channel of a tubelet: (x - mean) / (sqrt(var) + 1e-6)
    `targets/mae_st`    all channels of one frame of a tubelet together: (x - mean) / sqrt(var + 1e-6)
    `targets/pixels`    x
    Both variances are unbiased (N - 1), the default of torch.var. One patch has little contrast, so that the two
    places of the 1e-6 can be told apart.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy, gelu
from transformers import VideoMAEConfig, VideoMAEForPreTraining, VideoMAEForVideoClassification

FOLDER = Path(__file__).parent
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # ImageNet
TUBELET, PATCH = 2, 8
TINY = {
    "image_size": 32,
    "patch_size": PATCH,
    "num_channels": 3,
    "num_frames": 4,
    "tubelet_size": TUBELET,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 96,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "qv_bias": True,
    "decoder_hidden_size": 12,
    "decoder_num_hidden_layers": 2,
    "decoder_num_attention_heads": 3,
    "decoder_intermediate_size": 48,
    "norm_pix_loss": True,
}

Arrays = dict[str, np.ndarray]


# Targets, one value at a time


def mean_and_variance(values: list[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def normalise_videomae(tubelet: np.ndarray) -> np.ndarray:
    """(pt, ph, pw, c) → the same, each channel by its own mean and deviation over the tubelet."""
    result = np.empty_like(tubelet)
    for channel in range(tubelet.shape[3]):
        mean, variance = mean_and_variance([float(x) for x in tubelet[:, :, :, channel].flat])
        result[:, :, :, channel] = (tubelet[:, :, :, channel] - mean) / (variance**0.5 + 1e-6)
    return result


def normalise_mae_st(tubelet: np.ndarray) -> np.ndarray:
    """(pt, ph, pw, c) → the same, each frame by one mean and deviation over its pixels and channels."""
    result = np.empty_like(tubelet)
    for frame in range(tubelet.shape[0]):
        mean, variance = mean_and_variance([float(x) for x in tubelet[frame].flat])
        result[frame] = (tubelet[frame] - mean) / (variance + 1e-6) ** 0.5
    return result


def targets(pixels: np.ndarray, normalise: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(b, T, H, W, c) → (b, n, pt*ph*pw*c)."""
    _, frames, height, width, channels = pixels.shape
    examples = []
    for video in pixels.astype(np.float64):
        tokens = []
        for t in range(0, frames, TUBELET):
            for row in range(0, height, PATCH):
                for column in range(0, width, PATCH):
                    tubelet = normalise(video[t : t + TUBELET, row : row + PATCH, column : column + PATCH])
                    tokens.append(
                        [
                            tubelet[f, y, x, c]
                            for f in range(TUBELET)
                            for y in range(PATCH)
                            for x in range(PATCH)
                            for c in range(channels)
                        ]
                    )
        examples.append(tokens)
    return np.array(examples)


def make_targets() -> Arrays:
    pixels = np.random.default_rng(4).uniform(size=(2, 4, 16, 16, 3))
    pixels[1, 2:4, 8:16, 0:8] = 0.5 + 0.02 * pixels[1, 2:4, 8:16, 0:8]  # little contrast
    pixels = pixels.astype(np.float32)
    return {
        "pixels": pixels,
        "targets/videomae": targets(pixels, normalise_videomae),
        "targets/mae_st": targets(pixels, normalise_mae_st),
        "targets/pixels": targets(pixels, lambda tubelet: tubelet),
    }


# Models


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Gains 1 + 0.2 z, everything else 0.2 z, z normal: no weight is where an initialiser would leave it."""
    generator = torch.Generator().manual_seed(seed)
    gains = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.LayerNorm)}
    for parameter in model.parameters():
        values = 0.2 * torch.randn(parameter.shape, generator=generator) + (1.0 if id(parameter) in gains else 0.0)
        parameter.data = values.double()


def make_model(model_class: type, config: VideoMAEConfig, seed: int) -> torch.nn.Module:
    config._attn_implementation = "eager"
    model = model_class(config).eval()
    randomise(model, seed)
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}  # no buffer is left out
    return model


def make_videos(seed: int) -> tuple[np.ndarray, torch.Tensor]:
    """Two normalised videos: (b, T, H, W, c) in float32, and the model's (b, T, c, H, W) in float64."""
    videos = ((np.random.default_rng(seed).uniform(size=(2, 4, 32, 32, 3)) - MEAN) / STD).astype(np.float32)
    return videos, torch.from_numpy(videos).permute(0, 1, 4, 2, 3).double()


def as_arrays(prefix: str, tensors: dict[str, torch.Tensor]) -> Arrays:
    return {f"{prefix}/{name}": tensor.detach().numpy() for name, tensor in tensors.items()}


def describe(model: torch.nn.Module, with_gradients: bool) -> Arrays:
    result = as_arrays("weights", dict(model.named_parameters()))
    if with_gradients:
        result |= as_arrays("gradients", {name: p.grad for name, p in model.named_parameters()})
    return result | {"config": np.array(json.dumps(model.config.to_diff_dict()))}


def make_pretraining() -> Arrays:
    # Without use_mean_pooling=False the encoder of transformers would end without its layer norm.
    model = make_model(VideoMAEForPreTraining, VideoMAEConfig(**TINY, use_mean_pooling=False), seed=1)
    videos, inputs = make_videos(seed=1)
    generator = np.random.default_rng(1)
    is_masked = np.stack([generator.permutation(32) < 24 for _ in videos])

    output = model(inputs, bool_masked_pos=torch.from_numpy(is_masked))
    output.loss.backward()
    model.config.norm_pix_loss = False
    loss_pixels = model(inputs, bool_masked_pos=torch.from_numpy(is_masked)).loss
    model.config.norm_pix_loss = True

    logits = output.logits.detach().numpy()
    pixels = videos.astype(np.float64) * STD + MEAN
    for loss, normalise in ((output.loss, normalise_videomae), (loss_pixels, lambda tubelet: tubelet)):
        expected = np.mean((logits - targets(pixels, normalise)[is_masked].reshape(logits.shape)) ** 2)
        np.testing.assert_allclose(loss.item(), expected, rtol=1e-6)
    return {
        "videos": videos,
        "is_masked": is_masked,
        "logits": logits,
        "loss": output.loss.detach().numpy(),
        "loss_pixels": loss_pixels.detach().numpy(),
        "positions/encoder": model.videomae.embeddings.position_embeddings[0].numpy(),
        "positions/decoder": model.position_embeddings[0].numpy(),
    } | describe(model, with_gradients=True)


def make_classification(use_mean_pooling: bool, seed: int) -> Arrays:
    config = VideoMAEConfig(**TINY, use_mean_pooling=use_mean_pooling, num_labels=5)
    model = make_model(VideoMAEForVideoClassification, config, seed)
    videos, inputs = make_videos(seed)
    logits = model(inputs).logits
    result = {"videos": videos, "logits": logits.detach().numpy()}
    if use_mean_pooling:
        labels = torch.tensor([1, 3])
        loss = cross_entropy(logits, labels)
        loss.backward()
        result |= {"labels": labels.numpy(), "loss": loss.detach().numpy()}
    return result | describe(model, with_gradients=use_mean_pooling)


# Optimiser

SHAPES = {"w1": (6, 8), "b1": (8,), "mask_token": (1, 1, 8), "w2": (8, 3), "b2": (3,)}
DECAYED = {"w1", "w2"}
BASE, FINAL = 1e-2, 1e-3
SCALES = {"w1": 0.75**2, "b1": 0.75**2, "mask_token": 0.75, "w2": 1.0, "b2": 1.0}


def warmup_then_cosine() -> np.ndarray:
    factor = (1 + np.cos(np.pi * np.arange(15) / 15)) / 2
    return np.concatenate([np.linspace(0, BASE, 5), FINAL + (BASE - FINAL) * factor])


def train(
    initial: Arrays, x: torch.Tensor, target: torch.Tensor, rates: np.ndarray, scales: dict, clip_norm: float
) -> Arrays:
    w = {name: torch.nn.Parameter(torch.from_numpy(value).double()) for name, value in initial.items()}
    groups = [{"params": [w[name]], "weight_decay": 0.05 if name in DECAYED else 0.0, "name": name} for name in w]
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95), eps=1e-8)
    losses, norms, trajectory = [], [], {name: [] for name in w}
    for rate in rates:
        for group in optimizer.param_groups:
            group["lr"] = rate * scales[group["name"]]
        y = gelu(x @ w["w1"] + w["b1"] + w["mask_token"]) @ w["w2"] + w["b2"]
        loss = ((y - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(w.values(), clip_norm).item())
        optimizer.step()
        losses.append(loss.item())
        for name, value in w.items():
            trajectory[name].append(value.detach().numpy().copy())
    result = {"learning_rate": rates, "loss": np.array(losses), "gradient_norm": np.array(norms)}
    return result | {f"weights/{name}": np.stack(values) for name, values in trajectory.items()}


def make_adamw() -> Arrays:
    generator = np.random.default_rng(3)
    x = generator.normal(size=(4, 5, 6)).astype(np.float32)
    target = generator.normal(size=(4, 5, 3)).astype(np.float32)
    initial = {name: (0.3 * generator.normal(size=shape)).astype(np.float32) for name, shape in SHAPES.items()}
    data = (initial, torch.from_numpy(x).double(), torch.from_numpy(target).double())
    equal, never = dict.fromkeys(SHAPES, 1.0), float("inf")
    runs = {
        "schedule": train(*data, warmup_then_cosine(), equal, never),
        "layerwise": train(*data, np.full(10, BASE), SCALES, never),
    }
    for name, clip_norm in (("clipped", 0.02), ("clipped_at_first", 0.3)):
        runs[name] = train(*data, warmup_then_cosine(), equal, clip_norm) | {"clip_norm": np.array(clip_norm)}
    result = {"x": x, "target": target}
    result |= {f"initial/{name}": value for name, value in initial.items()}
    result |= {f"layerwise/scales/{name}": np.array(scale) for name, scale in SCALES.items()}
    return result | {f"{run}/{name}": value for run, values in runs.items() for name, value in values.items()}


def save(name: str, arrays: Arrays) -> None:
    stored = {}
    for key, value in arrays.items():
        is_float = value.dtype.kind == "f"
        assert not is_float or np.isfinite(value).all(), f"{name}: {key}"
        stored[key] = value.astype(np.float32) if is_float else value
    np.savez_compressed(FOLDER / name, **stored)


if __name__ == "__main__":
    save("pretraining.npz", make_pretraining())
    save("classification.npz", make_classification(use_mean_pooling=True, seed=2))
    save("classification_first.npz", make_classification(use_mean_pooling=False, seed=5))
    save("adamw.npz", make_adamw())
    save("targets.npz", make_targets())
