#!/usr/bin/env bash
# Everything that the documents leave open for a GPU, in one command: `bash benchmarks/gpu.sh OUT_DIR`.
# Needs JAX for the GPU (pip install -e '.[jax-cuda]'); for the comparison also PyTorch and transformers.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "$1" && cd "$1" && pwd)
python=${PYTHON:-python}

# 1. A whole run on packed videos: does the loss fall, how long does it wait for data, does it go on where it stopped?
$python -m mae.data.scan --help > "$out/scan_help.txt"
run=(backend=jax dataset=shapes model=vit_base model.image_size=224 recipe=own batch_size=64 precision=bfloat16
     evaluate_every=null probe.every=null wandb.mode=disabled log_every=10 warmup_steps=20 checkpoint_every=100
     "run_dir=$out/run")
$python pretrain.py "${run[@]}" steps=200 | tee "$out/run_begun.txt"
$python pretrain.py "${run[@]}" steps=300 | tee "$out/run_resumed.txt"

# 2. A step beside the compiled peer's, in batches that fit 80 GB.
step() { $python benchmarks/train_step.py --backend jax --precision bfloat16 --rounds 20 --peer "$@"; }
step --model vit_base --clips 128 --json "$out/vit_base.json"
step --model vit_base --clips 128 --decoder-mask-ratio 0.5 --json "$out/vit_base_dual.json"
step --model vit_large --clips 64 --json "$out/vit_large.json"
step --model vit_large --clips 64 --decoder-mask-ratio 0.5 --json "$out/vit_large_dual.json"

# 3. What the decoders deliver: clips a second from packed videos, by cores.
$python benchmarks/data.py | tee "$out/data.txt"
