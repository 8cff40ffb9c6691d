"""Weights that are spread over devices, and batches that are."""

import jax
import numpy as np
import pytest
from replicas import assert_same_training, engine_of
from small_steps import compiled_step, trained

from mae.engines.jax.distribute import distributed
from mae.engines.jax.placement import Placement


@pytest.mark.parametrize("accumulate", [1, 2])
def test_sharded_weights_are_trained_like_whole_ones(accumulate):
    assert_same_training(trained(2, accumulate, sharded=True), trained())


def test_each_device_keeps_a_part_of_every_matrix_and_of_its_slots():
    step = compiled_step(2, 1, False, None, True)
    trained(2, sharded=True)
    parts = {variable.path: variable.value.addressable_shards[0].data.size for variable in step.variables}
    for variable in step.variables:
        size = int(np.prod(variable.shape))
        assert parts[variable.path] == (size // 2 if len(variable.shape) > 1 else size), variable.path


def test_an_axis_that_devices_cannot_share_is_left_whole():
    placement = Placement(jax.devices()[:2], shard_weights=True)
    assert placement.sharded_axis((3, 8)) == 1
    assert placement.sharded_axis((16, 8)) == 0
    assert placement.sharded_axis((3, 5)) is None
    assert Placement(jax.devices()[:2]).sharded_axis((16, 8)) is None


def test_rows_and_parts_go_to_the_devices_in_order():
    placement = Placement(jax.devices()[:2])
    batch = {"rows": np.arange(8)}
    (whole,) = distributed(placement, iter([batch]))
    assert [shard.data.tolist() for shard in whole["rows"].addressable_shards] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    parts = [part["rows"] for batch in distributed(placement, iter([batch]), parts=2) for part in batch]
    assert [[shard.data.tolist() for shard in part.addressable_shards] for part in parts] == [
        [[0, 1], [4, 5]],
        [[2, 3], [6, 7]],
    ]
    with pytest.raises(ValueError, match="rows has 7 rows, which 2 replicas cannot share equally"):
        next(distributed(placement, iter([{"rows": np.arange(7)}])))


@pytest.mark.parametrize("replicas", [1, 2])
def test_inference_takes_any_number_of_clips(replicas):
    step = compiled_step(1, 1, False, None, False)
    size = step.model.architecture
    clips = np.random.default_rng(0).integers(
        0, 256, (5, size.num_frames, size.image_size, size.image_size, 3), "uint8"
    )
    run = engine_of(replicas).inference(step.model, lambda videos: videos.mean(axis=(1, 2, 3)))
    whole = run(clips)
    assert whole.shape == (5, 3)
    np.testing.assert_allclose(run(clips[1:4]), whole[1:4], rtol=1e-6)
