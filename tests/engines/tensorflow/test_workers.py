"""Several processes that train one model: they are one, they stop together, and none waits for ever."""

import json
import subprocess
import sys

import pytest
import tensorflow as tf
from patience import PATIENCE
from processes import addresses

from mae.engines.tensorflow.workers import connected_workers, report_lost_workers
from mae.engines.workers import Workers
from mae.errors import TrainingStopped

TELL_SILENCE = """
from mae.engines.tensorflow.strategy import make_strategy
make_strategy("multiworker")
from tensorflow.python.eager import context
print(context.context().config.experimental.coordination_config.heartbeat_timeout_in_ms)
"""


def test_a_worker_may_be_silent_for_longer_than_tensorflow_has_it(monkeypatch):
    """What TensorFlow's own configuration says once its service runs."""
    monkeypatch.setenv(
        "TF_CONFIG", json.dumps({"cluster": {"worker": addresses(1)}, "task": {"type": "worker", "index": 0}})
    )
    told = subprocess.run([sys.executable, "-c", TELL_SILENCE], capture_output=True, text=True, timeout=PATIENCE)
    assert told.stdout == "100000\n", told.stderr


def test_a_lost_worker_is_told_in_one_line_and_other_errors_stay():
    error = tf.errors.UnavailableError(None, None, "Collective ops is aborted\nby something")
    two = Workers(0, 2, add_up=lambda mine: mine)
    with (
        pytest.raises(TrainingStopped, match=r"worker 0 of 2 lost the others .* goes on from the last"),
        report_lost_workers(two),
    ):
        raise error
    with pytest.raises(tf.errors.UnavailableError), report_lost_workers(Workers()):
        raise error


def test_a_strategy_of_one_machine_has_one_worker():
    assert connected_workers(tf.distribute.get_strategy()) == Workers()
