"""What the probes of an encoder leave behind: `probe.json`, and a table for the console."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mae.evaluation.metrics import Figures
from mae.evaluation.probes.config import ProbeConfig
from mae.evaluation.probes.run import Labelled, Repetition, used
from mae.evaluation.probes.spread import feature_spread
from mae.evaluation.report import accuracies, versions, video_counts
from mae.monitoring.console import format_table
from mae.picture_size import PictureSize


@dataclass(frozen=True)
class Probed:
    """What was probed; all of it is needed to say what a figure is a figure of."""

    config: ProbeConfig
    seed: int
    clip: Mapping[
        str, PictureSize | str
    ]  # as {"num_frames": 16, "frame_stride": 4, "image_size": 224, "sampler": "dense"}
    train_paths: Sequence[str]
    train_hash: str
    test_paths: Sequence[str]
    test_hash: str
    checkpoint: str
    checkpoint_hash: str


def probe_content(
    probed: Probed,
    train: Labelled,
    test: Labelled,
    draws: Sequence[Repetition],
    figures: Mapping[str, Sequence[Figures]],
) -> dict[str, Any]:
    """The content of `probe.json`; figures of several repetitions are means."""
    first = next(iter(figures.values()))[0]
    spread = feature_spread(test.features.pooled[test.readable])
    listed = np.unique(np.concatenate([draw.indices for draw in draws]))
    members = np.bincount(test.labels)
    return {
        "probes": {kind: _means(repeated) for kind, repeated in figures.items()},
        "top1_of_one_class": float(members.max() / len(test.labels)),  # always saying the most frequent one
        "top5_is_top": first.top_k,  # 5, unless there are fewer classes
        "feature_rank": spread.rank,
        "feature_std": spread.std,
        "width": test.features.pooled.shape[1],
        "videos": video_counts(first),
        "list_hash": probed.test_hash,
        "training": {
            "videos": {
                "listed": len(train.labels),
                "labels_per_class": probed.config.labels_per_class,
                "used": len(used(train, draws[0])),  # by each repetition
                "failed": int((~train.features.there[listed]).sum()),
            },
            "list_hash": probed.train_hash,
        },
        "failed": {
            name: {paths[video]: reason for video, reason in sorted(part.features.failed.items())}
            for name, paths, part in (("training", probed.train_paths, train), ("test", probed.test_paths, test))
        },
        "clip": dict(probed.clip),
        "settings": asdict(probed.config) | {"seed": probed.seed},
        "checkpoint": probed.checkpoint,
        "checkpoint_hash": probed.checkpoint_hash,
        "versions": versions(),
    }


def _means(repeated: Sequence[Figures]) -> dict[str, Any]:
    """Means, the sample's standard deviation of the accuracies, and what each repetition said."""
    shares = [accuracies(figures) for figures in repeated]
    made: dict[str, Any] = {name: float(np.mean([each[name] for each in shares])) for name in shares[0]}
    if len(shares) > 1:
        for name in ("top1", "top5"):
            made[f"{name}_std"] = float(np.std([each[name] for each in shares], ddof=1))
        made["top1_of_each"] = [each["top1"] for each in shares]
    return made


def probe_table(content: Mapping[str, Any], folder: Path) -> str:
    """What `probe.json` says, for the console."""
    videos, training = content["videos"], content["training"]["videos"]
    few = training["labels_per_class"]
    left_out = f", {training['failed']} FAILED and left out" if training["failed"] else ""
    failed = f", {videos['failed']} FAILED and counted as wrong" if videos["failed"] else ""
    rows = [
        ("checkpoint", content["checkpoint"]),
        (
            "training videos",
            f"{training['listed']} listed, {training['used']} used"
            + (f", at most {few} of a class" if few is not None else "")
            + left_out,
        ),
        ("videos", f"{videos['listed']} listed, {videos['evaluated']} evaluated{failed}"),
    ]
    for kind, shares in content["probes"].items():
        told = [_share("top-1", shares, "top1"), _share(f"top-{content['top5_is_top']}", shares, "top5")]
        if videos["failed"]:
            told.append(f"top-1 of evaluated {100 * shares['top1_of_evaluated']:.2f} %")
        rows.append((kind, "  ".join(told)))
    rows += [
        ("one class always", f"top-1 {100 * content['top1_of_one_class']:.2f} %"),
        ("feature rank", f"{content['feature_rank']:.1f}, at most {min(content['width'], videos['evaluated'])}"),
        ("files", f"probe.json and features/ in {folder}"),
    ]
    return format_table(rows, "probe")


def _share(name: str, shares: Mapping[str, Any], key: str) -> str:
    deviation = f" ± {100 * shares[f'{key}_std']:.2f}" if f"{key}_std" in shares else ""
    return f"{name} {100 * shares[key]:.2f}{deviation} %"
