#!/usr/bin/env bash
# Everything that the documents leave open for a GPU, in one command: `bash benchmarks/gpu.sh OUT_DIR`.
# Needs JAX for the GPU (pip install -e '.[jax-cuda]'); for the comparison and the parity also PyTorch and transformers.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "$1"
out=$(cd "$1" && pwd)
python=${PYTHON:-python}
export KERAS_BACKEND=jax

# 1. A whole run on packed videos: does the loss fall, how long does it wait for data, does it go on where it stopped?
$python pretrain.py dataset=shapes steps=1 warmup_steps=0 dataset.root="$out/shapes" wandb.mode=disabled run_dir="$out/rendered"
$python -m mae.data.pack "$out/shapes" "$out/packed"
run=(dataset=csv "dataset.root=$out/packed" dataset.train=list.csv dataset.frame_stride=1
     model=vit_base precision=bfloat16 batch_size=64 accumulate=1 warmup_steps=20 checkpoint_every=100 log_every=10
     evaluate_every=null probe.every=null wandb.mode=disabled "run_dir=$out/run")
$python pretrain.py "${run[@]}" steps=200 | tee "$out/run_begun.txt"
$python pretrain.py "${run[@]}" steps=300 | tee "$out/run_resumed.txt"

# 2. A step beside the compiled peer's, in batches that fit 80 GB.
step() { $python benchmarks/train_step.py --backend jax --precision bfloat16 --rounds 20 --peer "$@"; }
step --model vit_base --clips 128 --json "$out/vit_base.json"
step --model vit_base --clips 128 --decoder-mask-ratio 0.5 --json "$out/vit_base_dual.json"
step --model vit_large --clips 64 --json "$out/vit_large.json"
step --model vit_large --clips 64 --decoder-mask-ratio 0.5 --json "$out/vit_large_dual.json"

# 3. Parity of the models with PyTorch's, and how many clips a second the decoders of this machine make.
$python -m pytest -q -m peer tests/checkpoints/test_peer.py
$python benchmarks/data.py | tee "$out/data.txt"
