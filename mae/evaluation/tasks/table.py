"""The tasks by name."""

from mae.evaluation.tasks.classification import Classification
from mae.evaluation.tasks.multilabel import Multilabel
from mae.evaluation.tasks.regression import Regression
from mae.evaluation.tasks.task import Task

TASKS: dict[str, Task] = {task.name: task for task in (Classification(), Multilabel(), Regression())}
