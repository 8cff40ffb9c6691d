"""`conf/finetune/` and its dataclasses agree, and the published recipes are the table."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from configured import CONF, composed, configured_finetuning, settings_of
from omegaconf import OmegaConf

from mae.cli.overrides import check_overrides, share_groups
from mae.errors import ConfigError
from mae.finetuning.config import SECTIONS, FinetuneConfig

ROOT = Path(__file__).parents[2]

# dataset, model: base rate, layer decay, epochs, global batch, drop path, head dropout, repeats, minimum rate
# (appendix of arXiv:2203.12602).
RECIPES = [
    ("dataset=kinetics400 model=vit_small", 5e-4, 0.75, 150, 384, 0.1, 0, 2, 1e-6),
    ("dataset=kinetics400", 5e-4, 0.75, 75, 384, 0.1, 0, 2, 1e-6),
    ("dataset=kinetics400 model=vit_large", 2e-3, 0.75, 35, 128, 0.1, 0, 2, 1e-6),
    ("dataset=kinetics400 model=vit_huge", 1e-3, 0.75, 50, 512, 0.2, 0.5, 2, 1e-5),
    ("dataset=ssv2 model=vit_small", 1e-3, 0.7, 40, 384, 0.1, 0, 2, 1e-6),
    ("dataset=ssv2", 5e-4, 0.75, 30, 384, 0.1, 0, 2, 1e-6),
    ("dataset=ucf101", 5e-4, 0.7, 100, 128, 0.2, 0.5, 2, 1e-5),
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_published_recipes(recipe):
    command, rate, decay, epochs, batch, drop_path, head_dropout, repeats, minimum = recipe
    c = configured_finetuning(*command.split())
    assert (c.learning_rate, c.optimizer.layer_decay, c.epochs, c.batch_size) == (rate, decay, epochs, batch)
    assert (c.model.architecture.drop_path_rate, c.head_dropout_rate) == (drop_path, head_dropout)
    assert (c.data.clips_per_video, c.min_learning_rate) == (repeats, minimum)
    assert (c.warmup_epochs, c.warmup_steps, c.steps, c.init_scale) == (5, None, None, 0.001)
    o = c.optimizer
    assert (o.beta_1, o.beta_2, o.epsilon, o.weight_decay, o.clip_grad_norm) == (0.9, 0.999, 1e-8, 0.05, None)
    assert (o.name, o.final_weight_decay) == ("adamw", None)
    sizes = c.model.architecture
    assert (sizes.num_frames, sizes.image_size, sizes.patch_size, sizes.tubelet_size) == (16, 224, 16, 2)
    assert (sizes.dropout_rate, sizes.attention_dropout_rate) == (0, 0)
    m = c.mixing
    assert (m.mixup, m.cutmix, m.probability, m.switch_probability, m.label_smoothing) == (0.8, 1, 1, 0.5, 0.1)
    a = c.augment
    assert (a.crop, a.rand_augment, a.erase_probability) == ("random_resized", "rand-m7-n4-mstd0.5-inc1", 0.25)
    assert (a.brightness, a.contrast, a.saturation, a.hue) == (0, 0, 0, 0)
    is_ssv2 = "ssv2" in command
    assert a.flip is not is_ssv2
    assert c.data.sampler == ("tsn_segments" if is_ssv2 else "videomae_dense")
    assert (c.test.sampler, c.test.clips, c.test.crops) == (("segments", 2, 3) if is_ssv2 else ("dense", 5, 3))
    assert (c.dataset.frame_stride, c.pooling, c.freeze) == (2 if is_ssv2 else 4, "mean", "none")


REGRESSION = ("task=regression", "dataset=csv")


def test_hmdb51_is_fine_tuned_as_ucf101():
    """There is no published row of its own; frames and views are told for both alike."""
    one, other = (configured_finetuning(f"dataset={name}") for name in ("hmdb51", "ucf101"))
    assert replace(one, dataset=other.dataset, run_dir=other.run_dir) == other
    assert (one.data.sampler, one.dataset.frame_stride) == ("videomae_dense", 4)
    assert (one.test.sampler, one.test.clips, one.test.crops) == ("dense", 5, 3)


def test_every_group_composes():
    for recipe in (CONF / "finetune" / "recipe").glob("[!_]*.yaml"):
        configured_finetuning(f"recipe={recipe.stem}")
    for dataset in (CONF / "dataset").glob("[!_]*.yaml"):
        configured_finetuning(f"dataset={dataset.stem}")
    both = [{path.stem for path in (CONF / index / "recipe").glob("*.yaml")} for index in (".", "finetune")]
    assert both[0] - {"v2"} <= both[1]  # a data set brings the recipe of its name; none brings v2


@pytest.mark.parametrize("recipe", [path.stem for path in (CONF / "finetune" / "recipe").glob("[!_]*.yaml")])
def test_nothing_overrules_a_recipe(recipe):
    """Whatever the file of a recipe says is what a run with it does."""
    made = composed("finetune", [f"recipe={recipe}"])
    for key, value in settings_of(CONF / "finetune" / "recipe" / f"{recipe}.yaml"):
        assert OmegaConf.select(made, key) == value, key


def test_yaml_and_dataclasses_have_the_same_keys():
    for recipe in (CONF / "finetune" / "recipe").glob("[!_]*.yaml"):
        made = composed("finetune", [f"recipe={recipe.stem}"])
        assert set(made) == {field.name for field in fields(FinetuneConfig)}
        for name, cls in SECTIONS.items():
            assert set(made[name]) == {field.name for field in fields(cls)}, name


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mode=probing"], "mode 'probing' does not exist; did you mean 'probe'"),
        (["mode=probe"], "mode=probe needs init_from"),
        (["probe.kinds=[lineer]"], "probe.kinds 'lineer' does not exist; did you mean 'linear'"),
        (["probe.kinds=knn"], "probe.kinds=knn is not a list: give 'probe.kinds=[knn]'"),
        (["probe.kinds=[]"], "probe.kinds=[] probes nothing"),
        (["probe.kinds=[knn,knn]"], "names one twice"),
        (["probe.labels_per_class=0"], "probe.labels_per_class=0 must be at least 1"),
        (["probe.attentive_learning_rate=0"], "must be above 0"),
        (["probe.token_dtype=int8"], "probe.token_dtype 'int8' does not exist"),
        (["probe.sampler=tsn_segments"], "probe.sampler 'tsn_segments' does not exist; did you mean 'segments'"),
        (["freeze=5"], "freeze=5: expected none, encoder or a number of blocks up to 4"),
        (["freeze=decoder"], "freeze=decoder: expected none"),
        (["pooling=max"], "pooling 'max' does not exist"),
        (["mixing.mixup=-1"], "mixing.mixup=-1.0 must be 0 (off) or above"),
        (["test.sampler=sparse"], "test.sampler 'sparse' does not exist"),
        (["test.clips=0"], "test.clips=0 must be at least 1"),
        (["test.sampler=segments", "test.clips=5"], "test.clips=5: there are 2"),
        (["validate_every=0"], "validate_every=0.0 must be above 0 epochs"),
        (["head_dropout_rate=1"], "head_dropout_rate=1.0 must lie in [0, 1)"),
        (["steps=null"], "give epochs or steps"),
        (["num_classes=0"], "num_classes=0 must be at least 1"),
        (["dataset=folder", "dataset.holdout=1"], "dataset.holdout=1.0 must lie in [0, 1)"),
        (["dataset=folder", "dataset.holdout=0.2", "dataset.val=x"], "give one"),
        (["wandb=null"], "wandb=None is not a group of settings"),
        (["task=regresion"], "task 'regresion' does not exist; did you mean 'regression'"),
        (["task=multilabel"], "task=multilabel learns from a list, and dataset=shapes has classes alone"),
        ([*REGRESSION, "mixing.cutmix=1"], "mixing.cutmix=1 is not defined for task=regression"),
        ([*REGRESSION, "mixing.label_smoothing=0.1"], "mixing.label_smoothing=0.1 is not defined"),
        ([*REGRESSION, "class_balance=weights"], "class_balance=weights is for classes and labels"),
        ([*REGRESSION, "mode=probe", "init_from=random"], "mode=probe tells classes apart, and task=regression"),
        ([*REGRESSION, "regression_loss=mse"], "regression_loss 'mse' does not exist"),
        ([*REGRESSION, "huber_delta=0"], "huber_delta=0.0 must be above 0"),
        (["dataset=csv", "task=multilabel", "class_balance=sampler"], "has none: give class_balance=weights"),
        (["dataset=csv", "dataset.targets=[a,a]"], "dataset.targets=[a,a] names one twice"),
        (
            ["dataset=csv", "dataset.val=x", "dataset.holdout=0.2"],
            "dataset.val=x and dataset.holdout=0.2 are both given",
        ),
    ],
)
def test_impossible_values_are_refused(overrides, message):
    with pytest.raises(ConfigError) as error:
        configured_finetuning(*overrides)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("recipe", ["own", "small", "demo"])
def test_numbers_are_not_mixed_by_default(recipe):
    one = configured_finetuning(*REGRESSION, f"recipe={recipe}")
    assert (one.mixes, one.mixing.label_smoothing) == (False, 0)
    assert configured_finetuning(*REGRESSION, "mixing.mixup=0.2").mixes


def test_figures_of_a_probe_do_not_lie_where_a_fine_tuning_is():
    assert configured_finetuning("mode=probe", "init_from=random").run_dir == "outputs/shapes-vit_tiny-probe"
    assert configured_finetuning("mode=eval").run_dir == "outputs/shapes-vit_tiny-finetuned"
    assert configured_finetuning().run_dir == "outputs/shapes-vit_tiny-finetuned"


def test_settings_survive_a_journey_through_a_checkpoint():
    """Where they did not, every resumed run would say that they have changed."""
    config = asdict(configured_finetuning("probe.kinds=[knn]"))
    assert json.loads(json.dumps(config)) == config


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("probe.kind=[knn]", "config key 'probe.kind' does not exist; did you mean 'probe.kinds'?"),
        ("mixing.mixpu=1", "config key 'mixing.mixpu' does not exist; did you mean 'mixing.mixup'?"),
        ("dataset=ssv3", "dataset= 'ssv3' does not exist; did you mean 'ssv2'?"),
        ("recipe=smal", "did you mean 'small'?"),
        ("mask_ratio=0.9", "config key 'mask_ratio' does not exist"),
    ],
)
def test_a_wrong_argument_is_told_with_the_nearest_right_one(argument, message):
    share_groups(CONF)
    with pytest.raises(ConfigError) as error:
        check_overrides(CONF / "finetune", "finetune", [argument], shared_dir=CONF)
    assert message in str(error.value)


def test_a_mistyped_command_is_told_before_tensorflow_is_loaded(tmp_path):
    code = (
        "import runpy, sys; sys.argv = ['finetune.py', 'mode=evaluate']\n"
        f"try: runpy.run_path({str(ROOT / 'finetune.py')!r}, run_name='__main__')\n"
        "finally: assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stderr == "error: mode 'evaluate' does not exist; did you mean 'eval'? There are: train, eval, probe\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["pretrain", "finetune"])
def test_help_lists_the_groups_that_exist(command):
    done = subprocess.run([sys.executable, ROOT / f"{command}.py", "--help"], capture_output=True, text=True)
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    own = CONF if command == "pretrain" else CONF / "finetune"
    for group, index in (("dataset", CONF), ("model", CONF), ("recipe", own)):
        listed = set(lines[group].split(", "))
        assert listed == {path.stem for path in (index / group).glob("[!_]*.yaml")}
    assert "finetune" not in lines
