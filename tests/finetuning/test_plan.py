"""The published fine-tunings in updates, clips and rates, worked out by hand: their batches count videos."""

import pytest
from configured import configured_finetuning

from mae.errors import ConfigError
from mae.finetuning.plan import FinetunePlan
from mae.training.clips import clip_spec, clips_in_memory
from mae.training.meter import Cadence

K400, SSV2, UCF101 = 240_436, 168_913, 9_537  # training videos of the official lists, UCF101's of its first split

# Command, videos: steps an epoch, updates, warm-up updates, clips an update, peak rate, last rate. K400 B: 240,436
# videos by 384 is 626 and a rest of 52; 626 × 75 = 46,950; 626 × 5 = 3,130; 384 × 2 = 768; 5e-4 × 384 / 256 = 7.5e-4.
UPDATES = [
    ("dataset=kinetics400 model=vit_small", K400, 626, 93_900, 3_130, 768, 7.5e-4, 1.5e-6),
    ("dataset=kinetics400", K400, 626, 46_950, 3_130, 768, 7.5e-4, 1.5e-6),
    ("dataset=kinetics400 model=vit_large", K400, 1_878, 65_730, 9_390, 256, 1e-3, 5e-7),
    ("dataset=kinetics400 model=vit_huge", K400, 469, 23_450, 2_345, 1_024, 2e-3, 2e-5),
    ("dataset=ssv2 model=vit_small", SSV2, 439, 17_560, 2_195, 768, 1.5e-3, 1.5e-6),
    ("dataset=ssv2", SSV2, 439, 13_170, 2_195, 768, 7.5e-4, 1.5e-6),
    ("dataset=ucf101", UCF101, 74, 7_400, 370, 256, 2.5e-4, 5e-6),
]


@pytest.mark.parametrize(("command", "videos", "per_epoch", "updates", "warmup", "clips", "peak", "last"), UPDATES)
def test_published_updates_by_hand(command, videos, per_epoch, updates, warmup, clips, peak, last):
    c = configured_finetuning(*command.split())
    plan = FinetunePlan(c, videos, num_replicas=8)
    assert (plan.steps_per_epoch, plan.total_steps, plan.warmup_steps) == (per_epoch, updates, warmup)
    assert (c.clips_per_step, c.videos_per_step, plan.clips_per_part) == (clips, clips // 2, clips // 8)
    assert plan.learning_rate(warmup - 1) == pytest.approx(peak)
    assert plan.learning_rate(updates) == pytest.approx(last)


def test_the_factors_are_told():
    plan = FinetunePlan(configured_finetuning("dataset=kinetics400"), K400, num_replicas=8)
    rows = dict(plan.rows())
    assert rows["global batch"] == "768 clips = 384 videos × 2 = 96 clips × 8 replicas × 1 accumulated"
    assert rows["learning rate"] == "0.00075 = 0.0005 × 384 / 256, then to 1.5e-06"
    assert rows["steps"] == "46950 (75.0 epochs of 626): 3130 of them up, then 43820 of a cosine"
    single = FinetunePlan(configured_finetuning("batch_size=8"), 100, num_replicas=2)
    assert dict(single.rows())["global batch"] == "8 = 4 clips × 2 replicas × 1 accumulated"


def test_memory_and_speed_count_clips():
    c = configured_finetuning("dataset=kinetics400", "data.workers=3", "data.prefetch=1", "data.ram_budget_gb=100")
    footprint = clips_in_memory(c, clip_spec(c, 4, c.model.architecture), num_workers=1)
    assert (footprint.batch_size, footprint.clips_in_flight) == (768, 6)
    assert Cadence.of(c, FinetunePlan(c, K400, 8), None).clips_per_step == 768


@pytest.mark.parametrize(
    ("overrides", "videos", "replicas", "message"),
    [
        (["batch_size=9", "accumulate=4"], 100, 1, "=9 × data.clips_per_video=2 = 18 clips is not divisible by 4 ("),
        (["batch_size=9"], 100, 2, "18 clips is not divisible by 4 (2 replicas × data.clips_per_video=2)"),
        (["batch_size=64"], 7, 2, "batch_size=64 is more than the 7 videos of the list, and the last partial batch is"),
        (["batch_size=64"], 7, 2, "give batch_size=6 or more videos"),
        (["batch_size=64", "accumulate=4"], 7, 1, "give batch_size=6 or more videos"),
        (["batch_size=64", "accumulate=16"], 7, 1, "lower accumulate=16 or more videos"),
        (["batch_size=6", "mixing.mixup=1"], 100, 2, "give a multiple of 4, or mixing.probability=0"),
    ],
)  # fmt: skip
def test_figures_that_do_not_fit_are_refused_with_both_numbers(overrides, videos, replicas, message):
    c = configured_finetuning("data.clips_per_video=2", *overrides)
    with pytest.raises(ConfigError) as error:
        FinetunePlan(c, videos, replicas)
    assert message in str(error.value)


def test_what_is_advised_fits():
    FinetunePlan(configured_finetuning("data.clips_per_video=2", "batch_size=6", "accumulate=4"), 7, 1)
    FinetunePlan(configured_finetuning("data.clips_per_video=2", "batch_size=8", "mixing.mixup=1"), 100, 2)
