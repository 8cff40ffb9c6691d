"""Configs as the command line makes them."""

from pathlib import Path

from hydra import compose, initialize_config_dir

from mae.cli.overrides import share_groups
from mae.finetuning.config import FinetuneConfig, typed_finetune_config
from mae.pretraining.config import PretrainConfig, typed_config

CONF = Path(__file__).parents[1] / "conf"

# Twelve videos, a model of a few thousand parameters, six steps: seconds.
SMALL_RUN = (
    "dataset.videos_per_class=1",
    "model.image_size=32",
    "model.num_frames=4",
    "model.embed_dim=24",
    "model.depth=2",
    "model.num_heads=2",
    "model.decoder_embed_dim=12",
    "model.decoder_depth=1",
    "model.decoder_num_heads=2",
    "batch_size=4",
    "steps=6",
    "warmup_steps=2",
    "log_every=1",
    "checkpoint_every=2",
    "evaluate_every=null",
    "wandb.mode=disabled",
)


def configured(*overrides: str) -> PretrainConfig:
    """What `python pretrain.py <overrides>` runs with; of two overrides of a key the later one holds."""
    last = {override.split("=", 1)[0]: override for override in overrides}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return typed_config(compose("pretrain", overrides=list(last.values())))


def configured_finetuning(*overrides: str) -> FinetuneConfig:
    """What `python finetune.py <overrides>` runs with."""
    share_groups(CONF)
    last = {override.split("=", 1)[0]: override for override in overrides}
    with initialize_config_dir(str(CONF / "finetune"), version_base="1.3"):
        return typed_finetune_config(compose("finetune", overrides=list(last.values())))
