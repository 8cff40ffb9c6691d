"""What runs of the small configuration leave and say."""

import io
from contextlib import redirect_stdout

from configured import SMALL_RUN, configured

from mae.checkpoints.metadata import Training
from mae.checkpoints.run_state import read_checkpoint
from mae.evaluation.trained import load_pretrainer
from mae.monitoring.metrics import read_metrics
from mae.pretraining.run import pretrain


def said_by(*overrides):
    """What a run of the small configuration with overrides prints."""
    with redirect_stdout(io.StringIO()) as output:
        pretrain(configured(*SMALL_RUN, *overrides))
    return output.getvalue()


def weights(directory, step):
    return read_checkpoint(directory / "checkpoints" / f"step_{step:08d}.npz").arrays


def model_of(directory):
    return load_pretrainer(directory, Training(), "float32", {}).model


def losses(directory):
    return [
        (record["step"], record["loss"], record["grad_norm"])
        for record in read_metrics(directory / "metrics.jsonl")
        if record["step"] > 0
    ]


def probed(directory):
    names = ("step", "probe_top1", "feature_rank", "feature_std")
    records = read_metrics(directory / "metrics.jsonl")
    return [[record[name] for name in names] for record in records if "feature_rank" in record]
