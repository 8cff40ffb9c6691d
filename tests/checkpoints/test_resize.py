import numpy as np
import pytest
from released_files import golden, pytorch_state, write
from test_load import build

from mae.checkpoints.containers.torch_zip import write_torch
from mae.checkpoints.load import load_checkpoint
from mae.checkpoints.resize import (
    adapt_patch_channels,
    adapt_predicted_channels,
    interpolate_table,
    resize_patch_kernel,
    resize_prediction,
)
from mae.checkpoints.save import save_checkpoint
from mae.errors import ConfigError
from mae.models.positions import position_table
from mae.normalisation import Statistics, usual_statistics


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
    resized = resize_patch_kernel(kernel, (frames, 4, 4))
    assert resized.shape == (frames, 4, 4, 3, 6)
    still = kernel.sum(axis=0) if kernel.ndim == 5 else kernel
    np.testing.assert_allclose(resized.sum(axis=0), still, atol=1e-12)


def test_tubelets_are_repeated_and_added_up():
    kernel = np.array([1.0, 3.0]).reshape(2, 1, 1, 1, 1)
    assert resize_patch_kernel(kernel, (4, 1, 1)).ravel().tolist() == [0.5, 0.5, 1.5, 1.5]
    assert resize_patch_kernel(kernel, (1, 1, 1)).ravel().tolist() == [4.0]


@pytest.mark.parametrize("patch", [(2, 8, 8), (1, 4, 4), (4, 16, 16), (2, 14, 14), (3, 5, 9)])
def test_a_patch_of_one_colour_is_embedded_alike_in_any_size(patch):
    kernel = np.random.default_rng(0).normal(size=(2, 8, 8, 3, 5))
    resized = resize_patch_kernel(kernel, patch)
    assert resized.shape == (*patch, 3, 5)
    np.testing.assert_allclose(resized.sum(axis=(0, 1, 2)), kernel.sum(axis=(0, 1, 2)), atol=1e-12)
    if patch == (2, 8, 8):
        assert resized is kernel


def ramp(patch):
    """Values at the centres of the pixels of a patch, which rise evenly along each axis: (*patch,)."""
    t, h, w = ((np.arange(count) + 0.5) / count for count in patch)
    return 1 + 2 * t[:, None, None] + 3 * h[:, None] - 5 * w


@pytest.mark.parametrize("patch", [(4, 8, 8), (2, 16, 24), (6, 32, 16)])
def test_a_patch_that_rises_evenly_is_embedded_alike_in_a_multiple_of_its_size(patch):
    kernel = np.random.default_rng(0).normal(size=(2, 8, 8, 1, 5))
    expected = np.einsum("thw,thwcd->d", ramp((2, 8, 8)), kernel)
    made = np.einsum("thw,thwcd->d", ramp(patch), resize_patch_kernel(kernel, patch))
    np.testing.assert_allclose(made, expected, atol=1e-10)


def test_a_kernel_by_hand():
    """Three pixels as two: each takes one whole, and a half of the one in the middle; two as three: thirds of each."""
    three = np.array([3.0, 6.0, 12.0]).reshape(1, 1, 3, 1, 1)
    assert resize_patch_kernel(three, (1, 1, 2)).ravel().tolist() == [6, 15]
    two = np.array([3.0, 6.0]).reshape(1, 2, 1, 1, 1)
    np.testing.assert_allclose(resize_patch_kernel(two, (1, 3, 1)).ravel(), [2, 3, 4])


@pytest.mark.parametrize("new", [(2, 8, 8), (1, 4, 4), (4, 16, 16), (2, 14, 14), (2, 4, 16)])
def test_predictions_that_rise_evenly_do_so_in_any_size(new):
    """Between the outermost centres, beyond which the outermost value stays; and of each channel by itself."""
    old, scale = (2, 8, 8), np.array([1.0, -2.0, 0.5])
    bias = (ramp(old)[..., None] * scale).reshape(-1)
    head = np.stack([bias, np.ones(bias.size)])
    made = resize_prediction(head, old, new)
    assert made.shape == (2, np.prod(new) * 3)
    np.testing.assert_array_equal(resize_prediction(bias, old, new), made[0])
    np.testing.assert_allclose(made[1], 1)
    at_centres = [np.clip((np.arange(n) + 0.5) / n, 0.5 / o, 1 - 0.5 / o) for n, o in zip(new, old, strict=True)]
    t, h, w = at_centres
    expected = (1 + 2 * t[:, None, None] + 3 * h[:, None] - 5 * w)[..., None] * scale
    np.testing.assert_allclose(made[0].reshape(*new, 3), expected, atol=1e-12)


def test_a_model_of_other_patches_says_the_same_of_videos_of_one_colour(tmp_path):
    """The same grid: each patch twice as high, wide and long. Encoder, decoder and what is predicted."""
    small = build("pretrainer", num_frames=4, image_size=32)
    path = write("E5", "pretrainer", tmp_path)
    load_checkpoint(path, small)
    large = build("pretrainer", num_frames=8, image_size=64, patch_size=16, tubelet_size=4)
    report = load_checkpoint(path, large)
    assert [entry.split()[0] for entry in report.reshaped] == [
        "encoder/patch_embed/kernel", "decoder/head/kernel", "decoder/head/bias"
    ]  # fmt: skip
    assert "patches of 2×8×8 in the file, of 4×16×16 in the model: weights are interpolated" in report.notes
    colour = np.array([0.3, -1.0, 2.0], "float32")
    is_masked = np.arange(32)[None] % 4 != 0
    one, other = (
        np.asarray(model(np.broadcast_to(colour, (1, *model.architecture.video_shape)), is_masked))
        for model in (small, large)
    )
    np.testing.assert_allclose(other[0], resize_prediction(one[0], (2, 8, 8), (4, 16, 16)), atol=1e-4)


def embedded(pixels, kernel, bias, statistics):
    """What a patch (…, c) of values in [0, 1] becomes, by the definition: normalised, then a matrix product."""
    normalised = (pixels - np.array(statistics.mean)) / np.array(statistics.std)
    return np.einsum("tijc,tijcd->d", normalised, kernel) + bias


def test_channels():
    rng = np.random.default_rng(0)
    kernel, bias, one = rng.normal(size=(2, 4, 4, 3, 6)), rng.normal(size=6), Statistics((0.5,), (0.5,))
    alike = Statistics((0.5,) * 3, (0.5,) * 3)
    np.testing.assert_allclose(adapt_patch_channels(kernel, bias, alike, one)[0][..., 0, :], kernel.sum(axis=3))
    grey = rng.random((2, 4, 4, 1))
    rgb, flow, four = (usual_statistics(count) for count in (3, 2, 4))
    expected = embedded(grey.repeat(3, axis=-1), kernel, bias, rgb)
    for new in (one, flow, Statistics((0.1, 0.2), (0.3, 0.4))):
        made = adapt_patch_channels(kernel, bias, rgb, new)
        np.testing.assert_allclose(embedded(grey.repeat(len(new.mean), axis=-1), *made, new), expected)
    # A fourth channel at its mean changes nothing; its filter is the mean of the others.
    colours, mean = rng.random((2, 4, 4, 3)), np.full((2, 4, 4, 1), 0.5)
    adapted, shifted = adapt_patch_channels(kernel, bias, rgb, four)
    made = embedded(np.concatenate([colours, mean], axis=-1), adapted, shifted, four)
    np.testing.assert_allclose(made, embedded(colours, kernel, bias, rgb))
    np.testing.assert_allclose(adapted[..., 3, :], kernel.mean(axis=3))
    # Other statistics of the same channels embed the same pixels alike; the same ones change no bit.
    other = Statistics((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    np.testing.assert_allclose(
        embedded(colours, *adapt_patch_channels(kernel, bias, rgb, other), other), embedded(colours, kernel, bias, rgb)
    )
    np.testing.assert_array_equal(adapt_patch_channels(kernel, bias, rgb, rgb)[0], kernel)


def test_predicted_channels():
    head = np.arange(24.0).reshape(2, 12)  # four pixels of three channels
    np.testing.assert_array_equal(adapt_predicted_channels(head, 3, 1), [[1, 4, 7, 10], [13, 16, 19, 22]])
    four = adapt_predicted_channels(head, 3, 4).reshape(2, 4, 4)
    np.testing.assert_array_equal(four[..., :3], head.reshape(2, 4, 3))
    np.testing.assert_array_equal(four[0, :, 3], [1, 4, 7, 10])


def test_a_grey_video_in_one_channel_is_taken_as_in_three(tmp_path):
    """Encoder, decoder and classifier: of three equal channels, whatever pixels are normalised by."""
    grey = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 1), np.uint8)
    for kind in ("classifier", "pretrainer"):
        three, one = build(kind), build(kind, in_channels=1, mean=(0.3,), std=(0.2,))
        (tmp_path / kind).mkdir()
        path = write("E5", kind, tmp_path / kind)
        load_checkpoint(path, three)
        report = load_checkpoint(path, one)
        assert "3 channels in the file, 1 in the model: filters of patches are the sum of the 3" in report.table()
        if kind == "classifier":
            np.testing.assert_allclose(three(grey.repeat(3, axis=-1)), one(grey), atol=1e-5)
        else:
            is_masked = np.arange(32)[None].repeat(2, axis=0) % 4 != 0
            shared = np.asarray(three(grey.repeat(3, axis=-1), is_masked)).reshape(2, 24, -1, 3).mean(axis=-1)
            np.testing.assert_allclose(shared, one(grey, is_masked), atol=1e-5)
            assert any(entry.startswith("decoder/head/kernel") for entry in report.reshaped)


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
    [
        ({"tubelet_size": 1}, "(1, 8, 8, 3, 24)"),
        ({"tubelet_size": 4}, "(4, 8, 8, 3, 24)"),
        ({"patch_size": 4}, "(2, 4, 4, 3, 24)"),
        ({"patch_size": 16, "image_size": (32, 48)}, "(2, 16, 16, 3, 24)"),
    ],
)
def test_other_patches(overrides, shape, tmp_path):
    path = write("D", "classifier", tmp_path)
    report = load_checkpoint(path, build("classifier", **overrides))
    assert report.reshaped == (f"encoder/patch_embed/kernel (2, 8, 8, 3, 24) → {shape}",)
    model = build("pretrainer", **overrides)
    report = load_checkpoint(write("E5", "pretrainer", tmp_path), model)
    assert report.missing == ()
    assert f"decoder/head/bias (384,) → ({model.architecture.patch_dim},)" in report.reshaped


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
