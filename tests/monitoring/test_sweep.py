"""The sweep in docs/, through W&B's own code up to the command that an agent would run."""

from pathlib import Path

import pytest
import yaml
from configured import CONF, configured
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from mae.cli.overrides import check_overrides

ROOT = Path(__file__).parents[2]
SWEEP = yaml.safe_load((ROOT / "docs" / "sweep.yaml").read_text())
DRAWN = [
    {name: how.get("value", how.get("values", [how.get("min")])[at]) for name, how in SWEEP["parameters"].items()}
    for at in (0, -1)
]


def command(drawn):
    """As `wandb.wandb_agent.Agent._command_run` puts it together."""
    values = {name: {"value": value} for name, value in drawn.items()}
    words = create_sweep_command_args({"program": SWEEP["program"], "args": values})
    words |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [SWEEP["program"]]}
    made = []
    for word in create_sweep_command(SWEEP["command"]):
        made += words[word[2:-1]] if word.startswith("${") and word.endswith("}") else [word]
    return made


@pytest.mark.parametrize("drawn", DRAWN, ids=["first", "last"])
def test_the_command_of_the_agent_is_accepted(drawn, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "abcd1234")
    words = command(drawn)
    assert words[:3] == ["/usr/bin/env", "python", "pretrain.py"]
    check_overrides(CONF, "pretrain", words[3:])
    config = configured(*words[3:])
    assert config.learning_rate == drawn["learning_rate"]
    assert config.mask_ratio == drawn["mask_ratio"]
    assert config.optimizer.weight_decay == drawn["optimizer.weight_decay"]
    assert config.run_dir == "outputs/sweep-abcd1234"
    assert config.monitor == ["wandb"]


def test_what_it_minimises_is_in_the_records():
    assert SWEEP["metric"]["name"] == "train/fixed_batch_loss"
    assert '"fixed_batch_loss"' in (ROOT / "mae" / "pretraining" / "evaluation.py").read_text()
