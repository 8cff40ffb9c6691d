"""A run that was begun on one engine goes on with the other."""

import numpy as np
import pytest
from configured import SMALL_RUN, configured
from processes import finish, start

from mae.monitoring.metrics import read_metrics
from mae.pretraining.run import pretrain

LONG_ENOUGH = (
    "steps=23",
    "checkpoint_every=3",
    "keep_checkpoints=9",
    "precision=float32",
    "optimizer.layer_decay=0.8",
    "ema_decay=0.9",
)


def losses(run):
    return [record["loss"] for record in read_metrics(run / "metrics.jsonl") if "loss" in record]


@pytest.mark.processes
@pytest.mark.parametrize("begun_on_jax", [False, True], ids=["tensorflow then jax", "jax then tensorflow"])
def test_the_next_twenty_losses_are_those_of_the_engine_that_began(shapes, tmp_path, capsys, begun_on_jax):
    common = (*LONG_ENOUGH, f"dataset.root={shapes}")

    def on_jax(*overrides):
        status, output = finish(start(*common, *overrides, "backend=jax", KERAS_BACKEND="jax"))
        assert status == 0, output
        return output

    def on_tensorflow(*overrides):
        pretrain(configured(*SMALL_RUN, *common, *overrides))
        return capsys.readouterr().out

    begin, go_on = (on_jax, on_tensorflow) if begun_on_jax else (on_tensorflow, on_jax)
    begin(f"run_dir={tmp_path / 'whole'}")
    third = tmp_path / "whole" / "checkpoints" / "step_00000003.npz"
    told = go_on(f"run_dir={tmp_path / 'rest'}", f"resume={third}")
    assert "changed since: backend: " in told
    rest = losses(tmp_path / "rest")
    assert len(rest) == 20
    np.testing.assert_allclose(rest, losses(tmp_path / "whole")[-20:], rtol=1e-4)
