"""`conf/` and the dataclasses agree, and the published recipes are what RECIPES say."""

from dataclasses import asdict, fields

import pytest
from configured import CONF, composed, configured, settings_of
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mae.data.config import DATASET_KINDS
from mae.engines.optimizer_config import OPTIMIZERS
from mae.errors import ConfigError
from mae.presets import PRESETS
from mae.pretraining.config import SECTIONS, PretrainConfig
from mae.pretraining.report import clip_rows
from mae.training.plan import TrainingPlan

# dataset, model: epochs, global batch, mask ratio, stride, base learning rate, preset (figures of the papers).
RECIPES = [
    ("dataset=ssv2", 2400, 2048, 0.9, 2, 1.5e-4, "vit_base"),
    ("dataset=kinetics400", 1600, 1024, 0.9, 4, 1.5e-4, "vit_base"),
    ("dataset=kinetics400 model=vit_large", 1600, 512, 0.9, 4, 1.5e-4, "vit_large"),
    ("dataset=kinetics400 model=vit_huge", 1600, 1024, 0.9, 4, 1.5e-4, "vit_huge"),
    ("dataset=kinetics400 model=vit_small", 1600, 1024, 0.9, 4, 1.5e-4, "vit_small"),
    ("dataset=ucf101", 3200, 192, 0.75, 4, 3e-4, "vit_base"),
    ("dataset=hmdb51", 4800, 192, 0.75, 4, 3e-4, "vit_base"),
]


def test_what_tests_compose_is_what_hydra_composes():
    """From its own files at once, where `configured` has those of a choice of groups composed already."""
    overrides = ["dataset=ssv2", "model=vit_large", "optimizer=lion", "run_dir='a b'", "model.depth=3", "+extra=1"]
    overrides += ["mask_ratio=0.5", "~remat"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        at_once = compose("pretrain", overrides=overrides)
    assert composed("pretrain", overrides) == at_once


@pytest.mark.parametrize(("command", "epochs", "batch", "mask", "stride", "rate", "preset"), RECIPES)
def test_published_recipes(command, epochs, batch, mask, stride, rate, preset):
    c = configured(*command.split())
    assert (c.epochs, c.batch_size, c.mask_ratio, c.dataset.frame_stride) == (epochs, batch, mask, stride)
    assert (c.learning_rate, c.min_learning_rate, c.warmup_epochs) == (rate, 1e-5, 40)
    assert (c.model.preset, c.masking, c.target, c.steps) == (preset, "tube", "videomae", None)
    a = c.model.architecture
    assert (a.num_frames, a.image_size, a.patch_size, a.tubelet_size, a.drop_path_rate) == (16, 224, 16, 2, 0)
    o = c.optimizer
    assert (o.beta_1, o.beta_2, o.epsilon, o.weight_decay, o.clip_grad_norm) == (0.9, 0.95, 1e-8, 0.05, None)
    assert (o.name, o.final_weight_decay, o.layer_decay, c.decoder_mask_ratio) == ("adamw", None, None, 0)
    assert (c.augment.crop, c.augment.flip, c.data.sampler) == ("multi_scale", False, "dense_stride")
    assert set(asdict(c.augment).values()) == {"multi_scale", 0, None}  # False is 0, too
    assert (c.data.short_clip, c.data.clips_per_video) == ("repeat_last", 1)
    assert c.num_masked == 8 * {0.9: 176, 0.75: 147}[mask]  # of 14 × 14 places, rounded down


# Command, training videos of the official lists: steps an epoch, updates, warm-up updates, peak rate, last rate.
# K400 L: 240,436 videos by 512 is 469 and a rest; 469 × 1600 = 750,400; 469 × 40 = 18,760; 1.5e-4 × 512 / 256 = 3e-4.
UPDATES = [
    ("dataset=ssv2", 168_913, 82, 196_800, 3_280, 1.2e-3, 8e-5),
    ("dataset=kinetics400", 240_436, 234, 374_400, 9_360, 6e-4, 4e-5),
    ("dataset=kinetics400 model=vit_large", 240_436, 469, 750_400, 18_760, 3e-4, 2e-5),
    ("dataset=kinetics400 model=vit_huge", 240_436, 234, 374_400, 9_360, 6e-4, 4e-5),
    ("dataset=ucf101", 9_537, 49, 156_800, 1_960, 2.25e-4, 7.5e-6),
    ("dataset=hmdb51", 3_570, 18, 86_400, 720, 2.25e-4, 7.5e-6),
]


@pytest.mark.parametrize(("command", "videos", "per_epoch", "updates", "warmup", "peak", "last"), UPDATES)
def test_published_updates_by_hand(command, videos, per_epoch, updates, warmup, peak, last):
    plan = TrainingPlan(configured(*command.split()), videos, num_replicas=64)
    assert (plan.steps_per_epoch, plan.total_steps, plan.warmup_steps) == (per_epoch, updates, warmup)
    rate = plan.learning_rate
    assert rate(0) == 0
    assert rate(warmup - 1) == rate(warmup) == pytest.approx(peak)
    assert rate(warmup + (updates - warmup) // 2) == pytest.approx((peak + last) / 2)  # half a cosine
    assert rate(updates) == pytest.approx(last)


def test_version_2_by_hand():
    """8192 clips are four of each of 2048 videos; the grid is 8 × 16 × 16, 230 of 256 places are masked."""
    c = configured("dataset=csv", "dataset.train=mixed.csv", "recipe=v2", "model=vit_giant")
    assert (c.model.preset, c.epochs, c.batch_size, c.steps) == ("vit_giant", 1200, 8192, None)
    assert (c.mask_ratio, c.decoder_mask_ratio, c.masking, c.target) == (0.9, 0.5, "tube", "videomae")
    assert (c.data.clips_per_video, c.data.sampler, c.augment.crop) == (4, "dense_stride", "multi_scale")
    assert (c.learning_rate, c.min_learning_rate, c.warmup_epochs, c.warmup_steps) == (1.5e-4, 1e-5, 40, None)
    o = c.optimizer
    assert (o.name, o.beta_1, o.beta_2, o.epsilon, o.weight_decay) == ("adamw", 0.9, 0.95, 1e-8, 0.05)
    assert o.clip_grad_norm == 0.02
    assert (c.num_masked, c.num_predicted) == (8 * 230, (8 * 230 // 2, True))
    plan = TrainingPlan(c, num_videos=1_350_000, num_replicas=64)
    assert (plan.steps_per_epoch, plan.total_steps, plan.warmup_steps) == (659, 790_800, 26_360)
    assert (c.clips_per_step, c.videos_per_step, plan.clips_per_part) == (8192, 2048, 128)
    rows = dict(plan.rows())
    assert rows["global batch"] == "8192 clips = 2048 videos × 4 = 128 clips × 64 replicas × 1 accumulated"
    assert rows["learning rate"] == "0.0048 = 0.00015 × 8192 / 256, then to 0.00032"


@pytest.mark.parametrize("recipe", [path.stem for path in (CONF / "recipe").glob("[!_]*.yaml")])
def test_nothing_overrules_a_recipe(recipe):
    """Whatever the file of a recipe says is what a run with it does."""
    made = composed("pretrain", ["dataset=csv", f"recipe={recipe}"])
    for key, value in settings_of(CONF / "recipe" / f"{recipe}.yaml"):
        assert OmegaConf.select(made, key) == value, key


def test_ssv2_on_64_gpus_by_hand():
    plan = TrainingPlan(configured("dataset=ssv2", "mask_ratio=0.9"), num_videos=168913, num_replicas=64)
    assert plan.config.num_masked == 8 * 176
    assert plan.clips_per_part == 32
    assert plan.steps_per_epoch == 82
    assert plan.total_steps == 82 * 2400
    assert plan.warmup_steps == 82 * 40
    rate = plan.learning_rate
    assert rate(0) == 0
    assert rate(82 * 40 - 1) == pytest.approx(1.5e-4 * 8)
    assert rate(82 * 2400) == pytest.approx(1e-5 * 8)
    rows = dict([*plan.rows(), *clip_rows(plan.config)])
    assert rows["token grid"] == "8 × 14 × 14 = 1568 tokens of 1536 values"
    assert rows["mask"] == "tube 0.9: 1408 masked, 160 visible (realised 0.8980)"
    assert rows["global batch"] == "2048 = 32 clips × 64 replicas × 1 accumulated"
    assert rows["learning rate"] == "0.0012 = 0.00015 × 2048 / 256, then to 8e-05"


@pytest.mark.parametrize("name", ["csv", "folder"])
def test_own_videos_get_a_batch_for_one_gpu(name):
    c = configured(f"dataset={name}")
    assert (c.batch_size, c.mask_ratio, c.model.preset) == (64, 0.9, "vit_base")


def test_every_group_composes():
    for preset in PRESETS:
        a = configured(f"model={preset}").model.architecture
        assert a == PRESETS[preset]
    for recipe in (CONF / "recipe").glob("[!_]*.yaml"):
        configured(f"recipe={recipe.stem}")


def test_float16_may_skip_steps_and_other_precisions_may_not():
    assert configured("precision=bfloat16").skippable_steps == 0
    assert configured("precision=float16").skippable_steps == 20
    assert configured("precision=float16", "max_skipped_steps=3").skippable_steps == 3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_composes(name):
    c = configured(f"optimizer={name}", "optimizer.weight_decay=0.3")
    assert type(c.optimizer) is OPTIMIZERS[name]
    assert (c.optimizer.name, c.optimizer.weight_decay) == (name, 0.3)


def test_the_command_line_wins_over_what_a_dataset_brings():
    c = configured("dataset=ssv2", "model=vit_large", "mask_ratio=0.75", "epochs=800", "model.drop_path_rate=0.1")
    assert (c.model.preset, c.mask_ratio, c.epochs) == ("vit_large", 0.75, 800)
    assert c.model.architecture.drop_path_rate == 0.1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mask_ratio=1.2"], "mask_ratio=1.2 must lie between 0 and 1"),
        (["mask_ratio=0.001"], "masks 0 of 64 tokens"),
        (["decoder_mask_ratio=0.4"], "decoder_mask_ratio=0.4 must be 0 (off), 0.25, 0.5 or 0.75"),
        (["keep_every=150"], "keep_every=150 must be a multiple of checkpoint_every=100"),
        (["remat=block"], "remat 'block' does not exist; did you mean 'blocks'"),
        (["remat=blocks", "model.dropout_rate=0.1"], "remat=blocks runs blocks twice"),
        (["model.attention=fast"], "attention 'fast' does not exist"),
        (["model.image_size=65"], "image_size=65 is not divisible by patch_size=8"),
        (["model.num_frames=15"], "num_frames=15 is not divisible by tubelet_size=2"),
        (["masking=tubes"], "did you mean 'tube'"),
        (["target=raw"], "target 'raw' does not exist"),
        (["target=difference", "target_pixels=1"], "target_pixels=1.0 must lie in [0, 1)"),
        (["target=difference", "target_scale=video"], "target_scale 'video' does not exist"),
        (["loss_weight=moving"], "loss_weight 'moving' does not exist"),
        (["model=vit_micro", "model.num_frames=1", "target=difference"], "target=difference compares frames"),
        (["mask_motion=on"], "mask_motion 'on' does not exist"),
        (["mask_motion=hide", "masking=block"], "mask_motion=hide takes tube, random or frame"),
        (["mask_motion=hide", "mask_motion_share=0"], "mask_motion_share=0.0 must lie in (0, 1]"),
        (["model=vit_micro", "model.num_frames=1", "mask_motion=keep"], "mask_motion=keep compares frames"),
        (["precision=fp16"], "precision 'fp16' does not exist"),
        (["batch_size=0"], "batch_size=0 must be at least 1"),
        (["overfit_clips=0"], "overfit_clips=0 must be at least 1"),
        (["overfit_clips=-1"], "overfit_clips=-1 must be at least 1"),
        (["probe.every=0"], "probe.every=0 must be at least 1, or null for no probe"),
        (["probe.clips=1"], "probe.clips=1 must be at least 2"),
        (["probe.attentive_steps=0"], "probe.attentive_steps=0 must be at least 1"),
        (["batch_size=many"], "batch_size: Value 'many'"),
        (["steps=null"], "give epochs or steps"),
        (["optimizer.beta_1=1"], "optimizer.beta_1=1.0 must lie in"),
        (["data.max_bad_frac=2"], "data.max_bad_frac=2.0 must lie in"),
        (["data.remote_cache_gb=0"], "data.remote_cache_gb=0.0 must be above 0"),
        (["augment.crop=random"], "augment.crop 'random' does not exist"),
        (["wandb.mode=on"], "wandb.mode"),
        (
            ["model.in_channels=1"],
            "model.in_channels=1 and data.channels=rgb, which gives 3: give data.chan",
        ),
        (["model.mean=[1,2]"], "mean=[1.0, 2.0] must be 3 numbers"),
        (["data.window=[4,2]"], "data.window=[4.0, 2.0] must be two numbers, low below high"),
        (
            ["data.channels=grey", "model.in_channels=1", "augment.hue=0.1"],
            "augment.hue=0.1 is for pixels of 3",
        ),
        (["learning_rate=nan"], "learning_rate=nan is not a number"),
        (["warmup_epochs=inf"], "warmup_epochs=inf is not a number"),
        (["seed=5000000000"], "seed=5000000000 must be below"),
        (["model.num_heads=0"], "num_heads=0 must be a whole number from 1 to 4096"),
        (["model.patch_size=0"], "patch_size=0 must be a whole number from 1 to 1024"),
        (["model.mlp_ratio=0"], "mlp_ratio"),
        (["ema_decay=1"], "ema_decay=1.0 must lie between 0 and 1, or be null"),
        (["loss_scale=0.5"], "loss_scale=0.5 must lie in [1, 16777216]"),
        (["max_skipped_steps=-1"], "max_skipped_steps=-1 must not be negative"),
        (["precision=fp16"], "precision 'fp16' does not exist; did you mean 'float16'?"),
        (["strategy=multi_worker"], "did you mean 'multiworker'?"),
        (["optimizer=lion", "optimizer.beta_1=0"], "optimizer.beta_1=0.0 must be above 0 for lion"),
        (["optimizer=muon", "optimizer.momentum=1"], "optimizer.momentum=1.0 must lie in [0, 1)"),
        (["optimizer=muon", "optimizer.ns_steps=0"], "optimizer.ns_steps=0 must be at least 1"),
        (["optimizer=muon", "optimizer.rms=0"], "optimizer.rms=0.0 must be above 0"),
        (["optimizer.name=adam"], "optimizer.name 'adam' does not exist; did you mean 'adamw'?"),
        (["wandb=null"], "wandb=None is not a group of settings"),
        (["dataset.kind=foo"], "dataset.kind 'foo' does not exist"),
        (["+extra=1"], "config key 'extra' does not exist"),
    ],
)
def test_impossible_values_are_refused(overrides, message):
    with pytest.raises(ConfigError) as error:
        configured(*overrides)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "videos", "replicas", "message"),
    [
        (["batch_size=9"], 100, 2, "batch_size=9 is not divisible by 2 (2 replicas × accumulate=1)"),
        (["batch_size=8", "accumulate=3"], 100, 1, "batch_size=8 is not divisible by 3"),
        (["batch_size=8", "accumulate=8"], 7, 1, "lower accumulate=8 or more videos"),
        (["batch_size=64"], 7, 2, "batch_size=64 is more than the 7 videos of the list"),
        (
            ["batch_size=12", "data.clips_per_video=4"],
            100,
            2,
            "batch_size=12 is not divisible by 8 (2 replicas × data.",
        ),
        (["batch_size=64", "data.clips_per_video=4"], 7, 2, "give batch_size=24 or more videos"),
    ],
)
def test_figures_that_do_not_fit_are_refused_with_both_numbers(overrides, videos, replicas, message):
    with pytest.raises(ConfigError) as error:
        TrainingPlan(configured(*overrides), videos, replicas)
    assert message in str(error.value)


def test_yaml_and_dataclasses_have_the_same_keys():
    for dataset in (CONF / "dataset").glob("[!_]*.yaml"):
        made = composed("pretrain", [f"dataset={dataset.stem}"])
        assert set(made) == {field.name for field in fields(PretrainConfig)}
        for name, cls in SECTIONS.items():
            assert set(made[name]) == {field.name for field in fields(cls)}, name
        kind = DATASET_KINDS[made.dataset.kind]
        assert set(made.dataset) - {"kind"} == {field.name for field in fields(kind)}
    for path in (CONF / "optimizer").glob("*.yaml"):
        made = composed("pretrain", [f"optimizer={path.stem}"])
        assert set(made.optimizer) == {field.name for field in fields(OPTIMIZERS[path.stem])}


def test_dual_masking_by_hand():
    """VideoMAE V2: 176 of 196 places masked in 8 time steps, half of them left to the decoder in each."""
    c = configured("dataset=csv", "decoder_mask_ratio=0.5")
    assert c.num_predicted == (176 * 8 // 2, True)
    assert configured("dataset=csv").num_predicted == (176 * 8, True)
    assert configured("remat=blocks").architecture.remat == "blocks"


@pytest.mark.parametrize(("given", "ends", "saves"), [("save", {1, 2, 15}, True), ("end", {1, 2, 10, 15}, False)])
def test_what_usr1_does_is_a_setting(given, ends, saves):
    signals, is_to_save = configured(f"on_usr1={given}").signals
    assert (set(signals), is_to_save) == (ends, saves)
