import numpy as np
import pytest
from released_files import golden, pytorch_state, write
from test_load import build

from mae.checkpoints.containers.torch_zip import write_torch
from mae.checkpoints.load import load_checkpoint
from mae.checkpoints.resize import interpolate_table, resize_patch_kernel
from mae.checkpoints.save import save_checkpoint
from mae.errors import ConfigError
from mae.models.positions import position_table


def test_interpolation_keeps_a_table_of_the_same_grid_and_linear_ones_inside():
    table = np.random.default_rng(0).normal(size=(2 * 3 * 3, 5)).astype("float32")
    np.testing.assert_array_equal(interpolate_table(table, (2, 3, 3), (2, 3, 3)), table)
    linear = np.repeat(np.arange(4.0), 9)[:, None]  # rises over time only
    doubled = interpolate_table(linear, (4, 3, 3), (8, 6, 6)).reshape(8, 36)
    np.testing.assert_allclose(doubled[:, 0], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    assert np.ptp(doubled, axis=1).max() == 0
    halved = interpolate_table(linear, (4, 3, 3), (2, 3, 3)).reshape(2, 9)
    np.testing.assert_allclose(halved[:, 0], [0.5, 2.5])


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(2, 4, 4, 3, 6), (4, 4, 3, 6)])
def test_a_still_clip_gives_the_same_embedding_for_any_tubelet(shape, frames):
    kernel = np.random.default_rng(0).normal(size=shape)
    resized = resize_patch_kernel(kernel, frames, 3)
    assert resized.shape == (frames, 4, 4, 3, 6)
    still = kernel.sum(axis=0) if kernel.ndim == 5 else kernel
    np.testing.assert_allclose(resized.sum(axis=0), still, atol=1e-12)


def test_tubelets_are_repeated_and_added_up():
    kernel = np.array([1.0, 3.0]).reshape(2, 1, 1, 1, 1)
    assert resize_patch_kernel(kernel, 4, 1).ravel().tolist() == [0.5, 0.5, 1.5, 1.5]
    assert resize_patch_kernel(kernel, 1, 1).ravel().tolist() == [4.0]


def test_channels():
    kernel = np.random.default_rng(0).normal(size=(2, 4, 4, 3, 6))
    np.testing.assert_allclose(resize_patch_kernel(kernel, 2, 1)[:, :, :, 0], kernel.sum(axis=3))
    six = resize_patch_kernel(kernel, 2, 6)
    np.testing.assert_allclose(six[:, :, :, 3:], kernel / 2)
    np.testing.assert_allclose(six.sum(axis=3), kernel.sum(axis=3))


@pytest.mark.parametrize("overrides", [{"num_frames": 8}, {"image_size": 48}, {"num_frames": 2, "image_size": 16}])
@pytest.mark.parametrize("mode", ["recompute", "interpolate"])
def test_other_clips_and_fixed_tables(overrides, mode, tmp_path):
    model = build("pretrainer", **overrides)
    path = write("E5", "pretrainer", tmp_path)
    report = load_checkpoint(path, model, positions=mode)
    grid = model.architecture.grid
    computed = position_table("sincos", grid, 24)
    if mode == "recompute":
        np.testing.assert_array_equal(model.encoder.positions.table, computed)
        assert report.interpolated == ()
    else:
        expected = interpolate_table(position_table("sincos", (2, 4, 4), 24), (2, 4, 4), grid)
        np.testing.assert_array_equal(model.encoder.positions.table, expected)
        assert len(report.interpolated) == 2
        assert np.abs(expected - computed).max() > 0.1


def test_an_interpolated_table_survives_saving(tmp_path):
    model = build("pretrainer", num_frames=8)
    load_checkpoint(write("E5", "pretrainer", tmp_path), model, positions="interpolate")
    for name, format in (("x.pth", "pytorch"), ("x.h5", "keras_h5"), ("x.keras", "keras"), ("saved", "savedmodel")):
        save_checkpoint(model, tmp_path / name, format)
        other = build("pretrainer", num_frames=8)
        load_checkpoint(tmp_path / name, other)
        for side in ("encoder", "decoder"):
            expected = getattr(model, side).positions.table.numpy()
            np.testing.assert_array_equal(getattr(other, side).positions.table.numpy(), expected)
    with pytest.raises(ConfigError, match="positions=sincos only"):
        save_checkpoint(model, tmp_path / "hf", "huggingface")


def test_a_grid_the_file_does_not_tell_is_the_released_one(tmp_path):
    model = build("pretrainer", num_frames=8)
    report = load_checkpoint(write("D", "pretrainer", tmp_path), model, positions="interpolate")
    assert report.interpolated[0].endswith("(8, 28, 28) → (4, 4, 4)")


def test_learnable_tables_are_interpolated_always(tmp_path):
    state = pytorch_state(golden("classifier")[1])
    table = np.random.default_rng(0).normal(size=(1, 8 * 28 * 28, 24)).astype("float32")
    write_torch(tmp_path / "x.pth", {**state, "encoder.pos_embed": table})
    model = build("classifier", positions="learnable")
    report = load_checkpoint(tmp_path / "x.pth", model)
    assert report.interpolated == ("encoder/positions/table (8, 28, 28) → (2, 4, 4)",)
    expected = interpolate_table(table[0], (8, 28, 28), (2, 4, 4))
    np.testing.assert_array_equal(model.encoder.positions.table.numpy(), expected)
    fixed = build("classifier")
    report = load_checkpoint(tmp_path / "x.pth", fixed)
    assert "kept, and not trained" in report.table()
    np.testing.assert_array_equal(fixed.encoder.positions.table.numpy(), expected)


def test_a_stored_fixed_table_is_compared_and_a_learnable_one_starts_from_it(tmp_path):
    state = pytorch_state(golden("classifier")[1])
    fixed = position_table("sincos", (8, 28, 28), 24)
    write_torch(tmp_path / "x.pth", {**state, "pos_embed": fixed[None]})
    load_checkpoint(tmp_path / "x.pth", build("classifier"))
    model = build("classifier", positions="learnable")
    load_checkpoint(write("E5", "classifier", tmp_path), model)
    np.testing.assert_array_equal(model.encoder.positions.table.numpy(), position_table("sincos", (2, 4, 4), 24))


@pytest.mark.parametrize(
    ("overrides", "shape"),
    [({"tubelet_size": 1}, "(1, 8, 8, 3, 24)"), ({"tubelet_size": 4}, "(4, 8, 8, 3, 24)"),
     ({"in_channels": 1}, "(2, 8, 8, 1, 24)")],
)  # fmt: skip
def test_other_patches(overrides, shape, tmp_path):
    path = write("D", "classifier", tmp_path)
    report = load_checkpoint(path, build("classifier", **overrides))
    assert report.reshaped == (f"encoder/patch_embed/kernel (2, 8, 8, 3, 24) → {shape}",)
    with pytest.raises(ConfigError, match="decoder/head/kernel"):
        load_checkpoint(write("E5", "pretrainer", tmp_path), build("pretrainer", **overrides))
    with pytest.raises(ConfigError, match=r"patch_embed/kernel \(384, 24\) for \(96, 24\)"):
        load_checkpoint(path, build("classifier", patch_size=4))


def test_an_image_model_is_inflated(tmp_path):
    state = pytorch_state(golden("classifier")[1])
    name = "encoder.patch_embed.proj.weight"
    video = build("classifier")
    write_torch(tmp_path / "video.pth", state)
    load_checkpoint(tmp_path / "video.pth", video)
    write_torch(tmp_path / "image.pth", {**state, name: state[name].sum(axis=2)})
    inflated = build("classifier")
    report = load_checkpoint(tmp_path / "image.pth", inflated)
    assert report.reshaped
    still = np.repeat(np.random.default_rng(0).normal(size=(1, 1, 32, 32, 3)).astype("float32"), 4, axis=1)
    np.testing.assert_allclose(inflated(still), video(still), atol=1e-5)
