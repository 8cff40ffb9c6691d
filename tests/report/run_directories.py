"""Run directories as runs leave them, made by hand so that every figure is known."""

import csv
import json
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf
from PIL import Image
from written_videos import noise_frames, write_video

from mae.evaluation.probes.looked_at import LOOKED_AT, LookedAt

CLASSES = ("walk", "run", "<b>jump</b> & 'hop'")


def make_pretraining(path: Path, learning_rate: float = 1e-3) -> Path:
    """40 steps of which every tenth is logged, two pictures, features of 24 clips of three classes."""
    path.mkdir(parents=True)
    _config(path / "config.yaml", {"learning_rate": learning_rate, "steps": 20, "dataset": {"name": "mine"}})
    _config(path / "config.2.yaml", {"learning_rate": learning_rate, "steps": 40, "dataset": {"name": "mine"}})
    records = [{"step": 0, "probe_top1": 0.25, "feature_rank": 3.0}]
    for step in (10, 20, 30, 40):
        records.append({
            "step": step, "epoch": step / 10, "loss": 1 - step / 100, "trivial_loss": 0.9, "loss_ratio": 1.1,
            "learning_rate": learning_rate, "weight_decay": 0.05, "grad_norm": 2.0, "param_norm": 60.0,
            "clips_per_second": 50.0 + step, "model_flops_share": 0.2, "host_memory_gb": 1.5,
            "step_ms": 500.0, "data_wait_ms": 125.0, "compute_ms": 325.0, "host_ms": 50.0, "data_wait_fraction": 0.25,
            "decode_ms": 5.0, "decoders_busy": 0.5, "bad_clips": 0, "short_clips": 2, "skipped_steps": 0,
            "something_new": step / 2, "eta_s": "nan",
        })  # fmt: skip
    records[-1] |= {"fixed_batch_loss": 0.5, "psnr": 20.0, "probe_top1": 0.75, "feature_rank": 9.0}
    (path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (path / "commands.txt").write_text("2026-01-02 03:04:05  python pretrain.py dataset=mine\n")
    (path / "bad_videos.csv").write_text("path,reason\n/videos/broken.mp4,no video stream\n")
    for step in (20, 40):
        (path / "reconstructions").mkdir(exist_ok=True)
        Image.new("RGB", (320, 100), (step, 120, 200)).save(path / "reconstructions" / f"step_{step:08d}.png")
    _features(path)
    return path


def make_finetuning(path: Path) -> Path:
    """A fine-tuning with its test: of the first class all right, of the second half taken for the third."""
    path.mkdir(parents=True)
    _config(path / "config.yaml", {"mode": "train", "learning_rate": 5e-4})
    records = [{"step": s, "loss": 2.0 / s, "val_top1": s / 10, "val_top5": 1.0, "step_ms": 100.0} for s in (2, 4, 6)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    videos = _videos(path, 8)
    rows = [(videos[i], CLASSES[0], CLASSES[0]) for i in range(4)]
    rows += [(videos[i], CLASSES[1], CLASSES[1 + i % 2]) for i in range(4, 8)]
    with open(path / "predictions.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("video", "label", "predicted", "probability", "top5", "status", "reason"))
        writer.writerows((video, label, predicted, "0.5", "", "ok", "") for video, label, predicted in rows)
        writer.writerow(("/gone.mp4", CLASSES[2], "", "", "", "failed", "no such file"))
    content = {
        "top1": 6 / 9, "top5": 8 / 9, "mean_class_accuracy": 0.5, "videos": {"listed": 9, "evaluated": 8, "failed": 1},
        "per_class": dict(zip(CLASSES, (1.0, 0.5, 0.0), strict=True)),
        "versions": {"python": "3.11.7", "keras": "3.15.1"},
    }  # fmt: skip
    (path / "test.json").write_text(json.dumps(content))
    Image.new("RGB", (200, 200), (30, 60, 200)).save(path / "confusion.png")
    return path


def make_probe(path: Path) -> Path:
    path.mkdir(parents=True)
    _config(path / "config.yaml", {"mode": "probe"})
    figures = {"top1": 0.625, "top5": 0.9, "mean_class_accuracy": 0.6}
    content = {
        "probes": {"linear": figures, "knn": figures | {"top1": 0.5}},
        "top1_of_one_class": 0.125,
        "versions": {},
    }
    (path / "probe.json").write_text(json.dumps(content))
    _features(path)
    return path


def _config(path: Path, content: dict) -> None:
    path.write_text(OmegaConf.to_yaml(OmegaConf.create(content)))


def _videos(path: Path, count: int) -> list[str]:
    """Of noise, beside the run."""
    folder = path.parent / "videos"
    folder.mkdir(exist_ok=True)
    made = []
    for number in range(count):
        file = folder / f"{number}.avi"
        made.append(str(file) if file.exists() else write_video(file, noise_frames(6, height=32, width=48)))
    return made


def _features(path: Path) -> None:
    """Three far apart groups, the first video of each there, the others gone."""
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    features = (10 * np.eye(8)[labels] + rng.normal(0, 0.1, (24, 8))).astype("float32")
    videos = [*_videos(path, 3), *(f"/gone/{number}.mp4" for number in range(21))]
    LookedAt(features, videos, labels, CLASSES, 40).write(path / LOOKED_AT)
