"""Pre-training by Keras' own `fit`, against the command's step, on either engine."""

import keras
import numpy as np
import pytest
from replicas import engine_of
from small_steps import ADAMW, BATCH, RATE, SHORT, batch
from tiny import GRID, masks, tiny_pretrainer, videos

import mae
from mae.engines.engine import StepSettings, UpdateSettings
from mae.errors import ConfigError
from mae.masking import num_masked
from mae.models.drawn_masks import DrawnMasks
from mae.models.keras_training import _EVALUATION
from mae.models.pretrainer import pretraining_loss
from mae.pretraining.step import pretraining_losses
from mae.target_config import Target

CLIPS = batch(0)["videos"]


def numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def compiled(model, **settings):
    schedule = mae.warmup_cosine(1e-2, 1e-3, 10, 3, start=1e-3)
    optimizer = mae.build_optimizer(model, schedule, layer_decay=0.8, clip_grad_norm=0.05)
    model.compile(optimizer, mask_ratio=0.75, **settings)
    return model


@pytest.fixture(scope="module")
def fitted():
    """Compiled once for all tests that do not ask what it has learnt."""
    return compiled(tiny_pretrainer(**SHORT))


class OwnDataset(keras.utils.PyDataset):
    """Two batches."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return (CLIPS,)


def test_a_step_of_fit_is_a_step_of_the_command():
    model, commands = compiled(tiny_pretrainer(**SHORT)), tiny_pretrainer(**SHORT)
    engine = engine_of(1)
    optimizer = engine.optimizer(commands, UpdateSettings(ADAMW, RATE, 0.05))
    step = engine.step(commands, optimizer, pretraining_losses(commands, "videomae", 24), StepSettings(BATCH))
    drawn = [numpy(model._masks.draw(BATCH, i)) for i in range(2)]
    batches = [{**batch(0), "is_masked": is_masked} for is_masked in drawn]
    for batch_of_step in batches:
        del batch_of_step["path_noise"]
    expected = [engine.scalars(step(some))["loss"] for some in engine.distribute(iter(batches))]
    made = model.fit(CLIPS, epochs=2, batch_size=BATCH, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(made, expected, rtol=1e-6)
    for variable, value in zip(model.variables, engine.read(commands.variables), strict=True):
        np.testing.assert_allclose(numpy(variable), value, atol=1e-6, err_msg=variable.path)
    assert int(numpy(model.optimizer.iterations)) == 2


def test_whatever_yields_clips_is_fitted(fitted):
    labelled = ((CLIPS, np.zeros(BATCH, "int32")) for _ in range(2))
    own = {"videos": CLIPS, "is_masked": masks(BATCH)}
    for data, steps in ((labelled, 2), (OwnDataset(), 2), (own, 1)):
        before = int(numpy(fitted.optimizer.iterations))
        loss = fitted.fit(data, steps_per_epoch=steps, shuffle=False, verbose=0).history["loss"]
        assert np.isfinite(loss).all()
        assert int(numpy(fitted.optimizer.iterations)) - before == steps


@pytest.mark.skipif(keras.config.backend() == "jax", reason="JAX may be installed without TensorFlow")
def test_a_dataset_of_tensorflow_is_fitted(fitted):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(CLIPS).batch(BATCH)
    assert np.isfinite(fitted.fit(data, shuffle=False, verbose=0).history["loss"])


def test_an_evaluation_is_always_of_the_same_masks(fitted):
    is_masked = numpy(fitted._masks.draw(BATCH, _EVALUATION))
    expected = pretraining_loss(fitted, keras.ops.convert_to_tensor(CLIPS), is_masked)
    for _ in range(2):
        np.testing.assert_allclose(fitted.evaluate(CLIPS, batch_size=BATCH, verbose=0), expected, rtol=1e-5)


def test_masks_of_another_count_than_was_compiled_for_do_not_pass_unnoticed(fitted):
    few = {"videos": CLIPS, "is_masked": masks(BATCH, ratio=0.5)}
    assert np.isnan(fitted.evaluate(few, batch_size=BATCH, verbose=0))


def test_normalised_clips_weighted_targets_and_weighted_clips():
    model, clips = tiny_pretrainer(**SHORT), videos(4)
    model.compile(mask_ratio=0.75, masking="random", target=Target("difference", weight="motion"), run_eagerly=True)
    is_masked = numpy(model._masks.draw(4, _EVALUATION))
    expected = pretraining_loss(model, clips[:2], is_masked[:2], Target("difference", weight="motion"))
    only = np.array([2, 2, 0, 0], "float32")
    labels = np.zeros(4)  # without any, Keras drops the weights
    made = model.evaluate(clips, labels, sample_weight=only, batch_size=4, verbose=0)
    np.testing.assert_allclose(made, expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["tube", "random", "frame"])
def test_drawn_masks_are_of_their_kind_and_functions_of_seed_and_number(kind):
    a = tiny_pretrainer().architecture
    drawn = DrawnMasks(kind, 0.5, a, seed=3)
    first = numpy(drawn.draw(64, 0))
    assert first.dtype == bool
    assert set(first.sum(axis=1)) == {num_masked(kind, GRID, 0.5)} == {drawn.count}
    t_h_w = first.reshape(64, *GRID)
    if kind == "tube":
        np.testing.assert_array_equal(t_h_w[:, 0], t_h_w[:, 1])
    if kind == "frame":
        assert {*t_h_w.mean(axis=(2, 3)).ravel()} == {0, 1}
    np.testing.assert_allclose(first.mean(axis=0), 0.5, atol=0.25)  # no token is preferred: 4 deviations of 64 clips
    np.testing.assert_array_equal(numpy(DrawnMasks(kind, 0.5, a, seed=3).draw(64, 0)), first)
    for other in (drawn.draw(64, 1), DrawnMasks(kind, 0.5, a, seed=4).draw(64, 0)):
        assert (numpy(other) != first).any()


def test_settings_that_cannot_be_are_named():
    model = tiny_pretrainer()
    for settings, named in (
        ({"masking": "block"}, "mae.block_mask"),
        ({"masking": "cube"}, "masking 'cube' does not exist"),
        ({"mask_ratio": 1.5}, "mask_ratio=1.5"),
        ({"target": "videomaee"}, "did you mean 'videomae'"),
        ({"loss": "mse"}, "loss='mse': a pretrainer has its own"),
    ):
        with pytest.raises(ConfigError, match=named):
            model.compile("adam", **settings)


def test_a_file_holds_what_training_goes_on_from(tmp_path, fitted):
    fitted.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_compile_config() == fitted.get_compile_config()
    for made, expected in zip(loaded.optimizer.variables, fitted.optimizer.variables, strict=True):
        assert made.path == expected.path
        np.testing.assert_array_equal(numpy(made), numpy(expected))
    assert [group.layer for group in loaded.optimizer.groups] == [group.layer for group in fitted.optimizer.groups]
    losses = [
        model.fit(CLIPS, batch_size=BATCH, shuffle=False, verbose=0).history["loss"] for model in (fitted, loaded)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_a_rate_that_is_a_number_can_be_changed_and_other_optimizers_take_the_schedule(fitted):
    model = tiny_pretrainer(**SHORT)
    optimizer = mae.build_optimizer(model, 1, weight_decay=0.5)
    optimizer.learning_rate = 0.25
    ones = [keras.ops.zeros(weight.shape) for weight in model.trainable_variables]
    before = numpy(model.trainable_variables[0])
    assert float(optimizer.apply(ones, model.trainable_variables)["learning_rate"]) == 0.25
    np.testing.assert_allclose(numpy(model.trainable_variables[0]), before * (1 - 0.25 * 0.5), rtol=1e-6)
    adam = keras.optimizers.AdamW(fitted.optimizer._learning_rate)
    adam.build([keras.Variable([1.0])])
    assert float(adam.learning_rate) == pytest.approx(1e-3)


def test_an_optimizer_of_other_weights_is_refused():
    model, frozen = tiny_pretrainer(), tiny_pretrainer()
    frozen.encoder.trainable = False
    optimizer = mae.build_optimizer(frozen, 1e-3)
    again = type(optimizer).from_config(optimizer.get_config())
    with pytest.raises(ValueError, match="was made for 19 trainable weights and gets 49"):
        again.build(model.trainable_variables)


def test_a_step_is_compiled_by_xla():
    """As Keras does by itself where there is a GPU."""
    model = compiled(tiny_pretrainer(**SHORT), jit_compile=True)
    assert np.isfinite(model.fit(CLIPS, batch_size=BATCH, shuffle=False, verbose=0).history["loss"])
