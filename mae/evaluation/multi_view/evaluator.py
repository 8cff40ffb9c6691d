"""Evaluations of a classifier on a list of videos: the quick one between epochs, and the multi-view test."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mae.data.clips import ClipReader
from mae.data.config import TestViews
from mae.evaluation.interruptible import interruptible
from mae.evaluation.multi_view.report import write_report
from mae.evaluation.multi_view.scores import ViewScores
from mae.evaluation.multi_view.views import run_views
from mae.evaluation.tasks.table import TASKS
from mae.evaluation.tasks.task import Evaluated, Task
from mae.evaluation.trained import checkpoint_hash
from mae.monitoring.console import format_table
from mae.options import CLASSIFICATION
from mae.picture_size import size_setting
from mae.signals import Check

SCORES = "test_scores"  # begins the name of the directory that an interrupted test leaves


@dataclass(frozen=True)
class VideoEvaluation:
    """A classifier, and the labelled videos to evaluate it on."""

    logits: Callable[[np.ndarray], np.ndarray]  # of (batch_size, T, H, W, c) uint8
    reader: ClipReader  # of the list to evaluate
    class_names: tuple[str, ...]  # one for each output
    batch_size: int  # clips computed at a time
    workers: int  # videos decoded at the same time; 0: one per CPU core
    task: Task = TASKS[CLASSIFICATION]

    def validate(self, views: TestViews, check: Check) -> dict[str, float | None]:
        """The task's figures of a quick look, and `failed` videos; nothing is written.

        `check` is called after every batch and may give it up.
        """
        scores = ViewScores(None, self._shape(views), outputs=self.task.outputs)
        self._run(scores, views, lambda done, total: check())
        return {**self.task.validation(*scores.video_means(), self._truths), "failed": len(scores.failed)}

    def test(self, folder: Path, views: TestViews, checkpoint: Path) -> dict[str, Any]:
        """The test of `checkpoint`; returns what is in `test.json`.

        Writes its files into `folder`, see `write_report`. An interrupted one left its scores there and goes on from
        them.

        Raises:
            Interrupted: SIGINT or SIGTERM, after what was evaluated is saved.
        """
        digest, list_hash, spec = checkpoint_hash(checkpoint), self.reader.index.digest, self.reader.spec
        # Of what is cut as earlier versions wrote it, whose scores are taken up.
        resized = "" if spec.resize == "crop" else f", {spec.resize}"
        pixels = f"{size_setting(spec.image_size)} pixels{resized}"
        identity = {
            "checkpoint": digest,
            "list": list_hash,
            "views": f"{views.sampler} {views.clips}×{views.crops}",
            # The same command with another stride tests other frames.
            "clip": f"{spec.num_frames} at {spec.frame_stride}, {spec.short_clip}, {pixels}",
        }
        # One directory for each thing that is tested: what another test left is neither taken up nor in the way.
        name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
        scores = ViewScores(folder / f"{SCORES}-{name}", self._shape(views), identity, outputs=self.task.outputs)
        with interruptible("tested", "views", folder) as check:
            self._run(scores, views, check)
        evaluated = Evaluated(
            videos=self.reader.index.paths,
            labels=self._truths,
            class_names=self.class_names,
            views={"clips": views.clips, "crops": views.crops},
            list_hash=list_hash,
            checkpoint=str(checkpoint),
            checkpoint_hash=digest,
        )
        content = write_report(folder, evaluated, scores, self.task)
        scores.discard()
        return content

    @property
    def _truths(self) -> np.ndarray:
        assert self.reader.index.is_labelled
        return self.reader.index.truths(len(self.class_names))

    def _shape(self, views: TestViews) -> tuple[int, int, int]:
        return len(self.reader.index.paths), views.clips * views.crops, len(self.class_names)

    def _run(self, scores: ViewScores, views: TestViews, check: Callable[[int, int], None]) -> None:
        def read(video: int) -> np.ndarray:
            return self.reader.test_clips(video, views)

        run_views(scores, read, self.logits, self.batch_size, check=check, workers=self.workers)


def report_table(content: dict[str, Any], folder: Path) -> str:
    """What `test.json` says, for the console."""
    videos, views, task = content["videos"], content["views"], TASKS[content["task"]]
    counted = "counted as wrong" if task.name == CLASSIFICATION else "left out"
    failed = f", {videos['failed']} FAILED and {counted}" if videos["failed"] else ""
    rows = [
        ("checkpoint", content["checkpoint"]),
        ("videos", f"{videos['listed']} listed, {videos['evaluated']} evaluated{failed}"),
        ("views of a video", f"{views['clips']} clips × {views['crops']} crops"),
        *task.rows(content),
        ("files", f"{task.files} in {folder}"),
    ]
    return format_table(rows, "test")
