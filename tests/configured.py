"""Configs as the command line makes them."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from mae.cli.overrides import quote_texts, share_groups
from mae.finetuning.config import TEXTS as FINETUNE_TEXTS
from mae.finetuning.config import FinetuneConfig, typed_finetune_config
from mae.pretraining.config import TEXTS, PretrainConfig, typed_config

CONF = Path(__file__).parents[1] / "conf"
GROUPS = {path.parent.name for path in CONF.glob("*/*.yaml")} - {"finetune"}

# Twelve videos, a model of a few thousand parameters, six steps: seconds, most of them to trace the step. So there is
# one block; where blocks must differ, as with drop path, of which the first has none, a test asks for two.
SMALL_RUN = (
    "dataset.videos_per_class=1",
    "model.image_size=32",
    "model.num_frames=4",
    "model.embed_dim=24",
    "model.depth=1",
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
    "report=false",
)


def settings_of(path: Path) -> list[tuple[str, object]]:
    """The dotted keys that a file below `conf/` sets and their values, without those that depend on others."""

    def leaves(node: DictConfig, prefix: str) -> Iterator[tuple[str, object]]:
        for key in node:
            name = f"{prefix}{key}"
            if OmegaConf.is_interpolation(node, key) or name == "defaults":
                continue
            if isinstance(node[key], DictConfig):
                yield from leaves(node[key], f"{name}.")
            else:
                yield name, node[key]

    return list(leaves(OmegaConf.load(path), ""))


def configured(*overrides: str) -> PretrainConfig:
    """What `python pretrain.py <overrides>` runs with; of two overrides of a key the later one holds."""
    last = {override.split("=", 1)[0]: override for override in quote_texts(overrides, TEXTS)}
    return typed_config(composed("pretrain", list(last.values())))


def configured_finetuning(*overrides: str) -> FinetuneConfig:
    """What `python finetune.py <overrides>` runs with."""
    last = {override.split("=", 1)[0]: override for override in quote_texts(overrides, FINETUNE_TEXTS)}
    return typed_finetune_config(composed("finetune", list(last.values())))


def composed(name: str, overrides: Sequence[str]) -> DictConfig:
    """What Hydra composes for `pretrain` or `finetune`; from its files once for each choice of groups."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    made = deepcopy(_of_groups(name, *(one.input_line for one in parsed if one.key_or_group in GROUPS)))
    ConfigLoaderImpl._apply_overrides_to_config([one for one in parsed if one.key_or_group not in GROUPS], made)
    return made


@cache
def _of_groups(name: str, *groups: str) -> DictConfig:
    share_groups(CONF)
    directory = CONF if name == "pretrain" else CONF / name
    with initialize_config_dir(str(directory), version_base="1.3"):
        return compose(name, overrides=list(groups))
