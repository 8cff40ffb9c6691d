"""The pre-training step of transformers' VideoMAE on PyTorch, for benchmarks/train_step.py: fused attention (`sdpa`),
fused AdamW, eager on a CPU and `torch.compile` on a GPU. bfloat16 is `torch.autocast` over float32 weights.
"""

import argparse
from collections.abc import Callable

import torch
from measures import best_of, matmul_side
from transformers import VideoMAEConfig, VideoMAEForPreTraining

from mae.masking import tube_mask
from mae.models.work import flops_per_clip
from mae.presets import architecture


def peer_step(options: argparse.Namespace) -> tuple[Callable[[], float], Callable[[], float], float]:
    """A function that makes a step and gives its loss, one that gives the matmul rate, and FLOPs per clip."""
    a = architecture(options.model, num_frames=options.frames)
    config = VideoMAEConfig(
        image_size=a.image_size,
        num_frames=a.num_frames,
        patch_size=a.patch_size,
        tubelet_size=a.tubelet_size,
        hidden_size=a.embed_dim,
        num_hidden_layers=a.depth,
        num_attention_heads=a.num_heads,
        intermediate_size=round(a.embed_dim * a.mlp_ratio),
        decoder_hidden_size=a.decoder_embed_dim,
        decoder_num_hidden_layers=a.decoder_depth,
        decoder_num_attention_heads=a.decoder_num_heads,
        decoder_intermediate_size=round(a.decoder_embed_dim * a.mlp_ratio),
        attn_implementation="sdpa",
    )
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = True
    model = VideoMAEForPreTraining(config).train().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05, fused=True)
    videos = torch.randn(options.clips, a.num_frames, a.in_channels, a.image_size, a.image_size, device=device)
    is_masked = torch.from_numpy(tube_mask(a.grid, options.mask_ratio, options.clips, seed=0)).to(device)
    forward = torch.compile(model) if device == "cuda" else model
    half = options.precision == "bfloat16"

    def step() -> float:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss = forward(videos, bool_masked_pos=is_masked).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss)

    def matmul_rate() -> float:
        side = matmul_side(options)
        x = torch.randn(side, side, device=device).to(torch.bfloat16 if half else torch.float32)
        return 2 * side**3 / best_of(5, lambda: float((x @ x)[0, 0]))

    masked = int(is_masked[0].sum())
    return step, matmul_rate, flops_per_clip(a, a.num_tokens - masked, masked)
