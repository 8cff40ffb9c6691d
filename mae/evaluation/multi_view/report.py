"""What a multi-view test leaves behind."""

from pathlib import Path
from typing import Any

import numpy as np

from mae.evaluation.multi_view.scores import ViewScores
from mae.evaluation.report import versions, write_json
from mae.evaluation.tasks.table import TASKS
from mae.evaluation.tasks.task import Evaluated, Outputs, Task
from mae.options import CLASSIFICATION


def write_report(
    folder: Path, evaluated: Evaluated, scores: ViewScores, task: Task = TASKS[CLASSIFICATION]
) -> dict[str, Any]:
    """Writes `predictions.csv`, of classes `confusion.png`, and, last, `test.json`; returns what is in the latter.

    Raises:
        ConfigError: labels and classes do not fit.
        ValueError: views are missing.
    """
    means, done = scores.video_means()
    outputs = Outputs(means, done, scores.by_view(), scores.failed)
    of_all, of_each = task.report(folder, evaluated, outputs)
    listed, count = len(done), int(np.sum(done))
    content = {
        "task": task.name,
        **of_all,
        "videos": {"listed": listed, "evaluated": count, "failed": listed - count},
        "views": dict(evaluated.views),
        "list_hash": evaluated.list_hash,
        "checkpoint": evaluated.checkpoint,
        "checkpoint_hash": evaluated.checkpoint_hash,
        "versions": versions(),
        **of_each,
    }
    write_json(folder / "test.json", content)
    return content
