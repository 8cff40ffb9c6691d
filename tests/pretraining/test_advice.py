import pytest
from configured import configured

from mae.evaluation.probes.signs import Sign
from mae.pretraining.advice import Advisor, untried_settings
from mae.target_config import Target

ORDER, ATTENTIVE = Sign("order", "order", 0.5, 100), Sign("top1", "attentive top-1", 0.125, 100)


def advisor(signs=(ORDER,), trivial_loss=1.0, is_trained=False, untried=("target=pixels mask_ratio=0.9",)):
    return Advisor(signs, trivial_loss, is_trained, untried)


def records(*looks, first=0.48, loss=0.8):
    """Of a run that looks every 20 steps: one of step 0, then two for each look, the first of them without one."""
    made = [{"step": 0, "order": first, "top1": 0.25}]
    for number, order in enumerate(looks):
        made += [
            {"step": 20 * number + 10, "loss": loss},
            {"step": 20 * number + 20, "loss": loss, "order": order, "top1": 0.2},
        ]
    return made


def warnings(advisor, run):
    """What is said after each of its looks."""
    return [advisor.advice(run[: end + 1]) is not None for end, record in enumerate(run) if "order" in record]


def test_it_warns_once_where_the_loss_falls_and_nothing_moves():
    assert warnings(advisor(), records(0.52, 0.55, 0.49, 0.5, 0.51)) == [False, False, True, False, False, False]
    # At two looks in a row.
    assert warnings(advisor(), records(0.52, 0.7, 0.52, 0.52)) == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("settings", "run"),
    [
        ({}, records(0.7, 0.8)),  # it moves
        ({}, records(0.52, 0.52, loss=0.95)),  # the loss has not fallen
        ({"trivial_loss": 0.4}, records(0.52, 0.52)),
        ({}, records(0.97, 0.97, first=0.98)),  # it cannot move
        ({"is_trained": True}, records(0.75, 0.75, first=0.75)),  # it was not untrained at step 0
        ({"signs": ()}, records(0.52, 0.52)),
    ],
)
def test_it_says_nothing(settings, run):
    assert not any(warnings(advisor(**settings), run))


def test_a_sign_that_does_not_move_is_told_where_it_was_high_from_the_start():
    assert warnings(advisor(), records(0.75, 0.75, first=0.75)) == [False, False, True]
    # Two standard errors are 8.7 points there.
    assert warnings(advisor(), records(0.84, 0.84, first=0.75)) == [False, False, False]


def test_one_sign_that_moves_is_enough():
    signs = (ORDER, ATTENTIVE)
    run = records(0.52, 0.52)
    assert warnings(advisor(signs), run) == [False, False, True]
    # √(0.25 · 0.75 / 100) = 4.3 points.
    run[-1]["top1"] = 0.34
    assert warnings(advisor(signs), run) == [False, False, False]


def test_records_of_another_start_have_chance_for_a_floor():
    """A run that goes on from another run's checkpoint has no step 0, one of an earlier version no sign in it."""
    later = records(0.52, 0.52, 0.52)[2:]
    assert warnings(advisor(), later) == [False, False, True]
    earlier = [{"step": 0}, {"step": 20, "loss": 0.8, "feature_rank": 2.0}, *records(0.52, 0.52)[1:]]
    assert advisor().advice(earlier) is not None


def test_what_it_says():
    said = advisor((ORDER, ATTENTIVE), trivial_loss=0.98).advice(records(0.55, 0.52))
    assert said.startswith(
        "WARNING: the loss has fallen to 0.8000 (the trivial predictor's is 0.9800), but the features tell nothing of "
        "what moves: order 52.0 % (before 48.0 %, chance 50.0 %), attentive top-1 20.0 % (before 25.0 %, chance 12.5 %)"
    )
    assert "target=pixels mask_ratio=0.9: see docs/small_sets.md" in said


PAID = ["target=difference target_pixels=0.5", "masking=random mask_ratio=0.5", "optimizer=muon"]


@pytest.mark.parametrize(
    ("settings", "untried"),
    [
        ((Target("videomae"), "tube", 0.75, "adamw"), PAID),
        ((Target("difference"), "random", 0.5, "muon"), PAID[:1]),
        ((Target("difference", pixels=0.1), "random", 0.75, "lion"), PAID[1:]),
        ((Target("difference", pixels=0.1), "tube", 0.5, "muon"), PAID[1:2]),
    ],
)
def test_it_recommends_what_is_not_set(settings, untried):
    assert untried_settings(*settings) == untried


def test_where_all_that_paid_is_set_it_recommends_something_else():
    untried = untried_settings(Target("difference", pixels=0.5), "random", 0.5, "muon")
    assert untried
    assert not set(untried) & set(PAID)


def test_what_it_recommends_is_what_the_recipe_has():
    recipe, recommended = configured("recipe=micro"), configured("recipe=small", *" ".join(PAID).split())
    for name in ("predicted", "masking", "mask_ratio", "optimizer"):
        assert getattr(recipe, name) == getattr(recommended, name)
