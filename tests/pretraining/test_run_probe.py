"""Which clips a run looks at, when, and how it is told."""

from types import SimpleNamespace

import numpy as np
import pytest
from tiny import SIZES, tiny_pretrainer

from mae.data.lists.index import VideoIndex
from mae.engines.engine import Setup
from mae.engines.start import start_engine
from mae.errors import BadVideo, ConfigError
from mae.presets import architecture
from mae.pretraining.config import PeriodicProbeConfig
from mae.pretraining.periodic_probe import PeriodicProbe, ProbePlan
from mae.signals import never

SMALL = architecture("vit_tiny", **SIZES)  # 2×4×4 tokens, 24 wide


def index(labels, count=8):
    return VideoIndex(tuple(f"{number}.mp4" for number in range(count)), labels, None, "")


def plan(labels, every=10, clips=4, total_steps=100, attentive_steps=None):
    count = 80 if labels is None else len(labels)
    return ProbePlan(PeriodicProbeConfig(every, clips, attentive_steps), index(labels, count), total_steps, SMALL)


LABELS = (0, 0, 0, 0, 0, 0, 3, 3)


@pytest.mark.parametrize(
    ("settings", "row"),
    [
        ((LABELS, 10, 8), "every 10 steps: 6 clips of 2 classes: k-NN top-1 (chance 50.0 %), feature rank and std"),
        ((None,), "every 10 steps: 4 clips without labels, so no k-NN: feature rank and std"),
        (((1,) * 8,), "every 10 steps: 4 clips of one class, so no k-NN: feature rank and std"),
        ((LABELS, None), "none"),
        (
            (LABELS * 8, 10, 64, 100, 5),
            "every 10 steps: 48 clips of 2 classes: k-NN top-1 (chance 50.0 %), attentive top-1 (chance 50.0 %), "
            "order (chance 50.0 %), feature rank and std",
        ),
        (
            (None, 10, 4, 100, 5),
            "every 10 steps: 4 clips without labels, so no k-NN: feature rank and std; attentive probes need 32 clips",
        ),
        ((LABELS, 101), "none: probe.every=101 is more than the steps of the run"),
    ],
)
def test_what_the_table_says(settings, row):
    assert plan(*settings).row() == ("probe", row)


def test_cached_tokens_are_counted():
    """Of 64 clips and of their twins, both held twice: 2×4×4 cells of 24 numbers of two bytes."""
    assert plan(None, clips=64, attentive_steps=5).feature_bytes == 4 * 64 * 32 * 24 * 2
    assert plan(None, clips=64).feature_bytes == plan(None, clips=31, attentive_steps=5).feature_bytes == 0


def test_places_are_those_of_the_classes():
    assert plan(LABELS, clips=8).indices == [0, 1, 3, 4, 6, 7]
    assert plan(None).indices == [0, 20, 40, 60]
    assert plan(LABELS, every=None).indices == []


def reader(bad):
    """Clips of noise, brighter with every example; those in `bad` cannot be read."""

    def center_clip(example):
        if example in bad:
            raise BadVideo(f"no frames in {example}")
        return np.random.default_rng(example).integers(0, 20 + 25 * (example % 8), (4, 16, 16, 3)).astype("u1")

    return SimpleNamespace(center_clip=center_clip)


def test_figures_and_course_count_what_could_be_read():
    records = [
        {"step": 0, "probe_top1": 0.2, "feature_rank": 1.5},
        {"step": 5, "loss": 1.0},
        {"step": 10, "probe_top1": 0.6, "feature_rank": 2.5, "loss": 0.9},
    ]
    probe = PeriodicProbe(start_engine(Setup("single")), tiny_pretrainer(), reader(bad=(1,)), plan(LABELS, clips=8))
    assert probe.figures(never).keys() == {"probe_top1", "feature_rank", "feature_std"}
    shares = "20.0 % at step 0 → 60.0 % at step 10"
    assert probe.course(records) == f"k-NN top-1 of 5 clips: {shares} (chance 50.0 %: 1 of 2 classes)"
    unlabelled = PeriodicProbe(start_engine(Setup("single")), tiny_pretrainer(), reader(bad=(1,)), plan(None))
    assert unlabelled.figures(never).keys() == {"feature_rank", "feature_std"}
    assert unlabelled.course(records) == "feature rank of 4 clips: 1.5 at step 0 → 2.5 at step 10"


def test_unlabelled_clips_are_asked_for_their_order():
    probe = PeriodicProbe(
        start_engine(Setup("single")), tiny_pretrainer(), reader(bad=(4,)), plan(None, clips=40, attentive_steps=2)
    )
    assert [(sign.key, sign.clips) for sign in probe.signs] == [("probe_order", 39)]
    records = [{"step": step, **probe.figures(never)} for step in (0, 5)]
    assert records[0].keys() == {"step", "probe_order", "feature_rank", "feature_std"}
    course = " → ".join(f"{100 * record['probe_order']:.1f} % at step {record['step']}" for record in records)
    assert probe.course(records).splitlines()[1] == f"order of 39 clips: {course} (chance 50.0 %)"


def test_nothing_to_look_at_is_a_mistake():
    with pytest.raises(ConfigError, match=r"none of the 4 videos of the probe can be read; .*no frames.*every=null"):
        PeriodicProbe(start_engine(Setup("single")), tiny_pretrainer(), reader(bad=range(80)), plan(None))
