"""A model is what was saved: its kind, its weights to the bit, and what goes with them."""

from pathlib import Path

import keras
import numpy as np
import pytest
from released_files import write
from tiny import SIZES, masks, tiny_pretrainer, videos

from mae.checkpoints.metadata import Training
from mae.checkpoints.read import read_weights
from mae.checkpoints.run_state import AVERAGE, read_checkpoint
from mae.checkpoints.save import save_checkpoint
from mae.errors import ConfigError
from mae.evaluation.trained import load_encoder
from mae.library.clip import Clip
from mae.library.pretrained import ModelCard, from_pretrained, save_pretrained
from mae.models.classifier import build_classifier
from mae.models.video_encoder import VideoEncoder

RUNS = Path(__file__).parents[1] / "training" / "old_runs"  # both with ema_decay and a frame stride of 2
CLIP = Clip(num_frames=4, frame_stride=3, image_size=16, sampler="tsn_segments")


def drawn(model):
    """The model with weights that are far from their initial zeros and ones."""
    for number, variable in enumerate(model.trainable_variables):
        variable.assign(np.random.default_rng(number).normal(0.1, 0.3, variable.shape))
    return model


def encoder():
    model = VideoEncoder(tiny_pretrainer().architecture, name="video_encoder")
    model.build()
    return drawn(model)


MODELS = {
    "Pretrainer": tiny_pretrainer,
    "Classifier": lambda: drawn(build_classifier("vit_tiny", num_classes=3, pooling="first", **SIZES)),
    "VideoEncoder": encoder,
}


def same_weights(model, other):
    """Whether two models have the same weights, to the bit."""
    pairs = zip(model.weights, other.weights, strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)


@pytest.mark.parametrize("kind", MODELS)
def test_there_and_back(kind, tmp_path):
    model, names = MODELS[kind](), ("öffnen", "close", "push") if kind == "Classifier" else ()
    save_pretrained(model, tmp_path / "a.keras", class_names=names, clip=CLIP)
    again = from_pretrained(tmp_path / "a.keras")
    assert type(again).__name__ == kind
    assert same_weights(model, again)
    inputs = (videos(), masks()) if kind == "Pretrainer" else (videos(),)
    np.testing.assert_array_equal(again(*inputs), model(*inputs))
    card = again.card
    assert isinstance(card, ModelCard)
    assert (card.clip, card.class_names, card.source) == (CLIP, names, tmp_path / "a.keras")
    assert not {"frame_stride", "sampler", "image_size", "num_frames"} & set(card.assumed)

    save_pretrained(again, tmp_path / "b.keras")
    third = from_pretrained(tmp_path / "b.keras")
    assert same_weights(model, third)
    assert (third.card.clip, third.card.class_names) == (CLIP, names)
    if kind == "VideoEncoder":
        assert same_weights(model, load_encoder(tmp_path / "b.keras", None, "float32", {}).model)


@pytest.mark.parametrize(("run", "kind"), [("pretrain", "Pretrainer"), ("finetune", "Classifier")])
def test_of_a_run(run, kind):
    model = from_pretrained(RUNS / run)
    assert type(model).__name__ == kind
    averages = read_checkpoint(model.card.source).arrays
    kernel = averages[f"{AVERAGE}{kind.lower()}/encoder/patch_embed/kernel"]
    np.testing.assert_array_equal(model.encoder.patch_embed.kernel, kernel)
    a = model.architecture
    assert model.card.clip == Clip(a.num_frames, 2, a.image_size, "dense_stride")
    assert len(model.card.class_names) == (12 if run == "finetune" else 0)


def test_what_a_file_does_not_tell_is_assumed_and_not_written_as_told(tmp_path):
    """A released file, of the layout of the original release, whose classes nobody named."""
    model = from_pretrained(write("D", "classifier", tmp_path), num_heads=3, image_size=32, num_frames=4)
    assert model.card.clip == Clip(4, 4, 32, "dense_stride")
    assert model.card.assumed == ("frame_stride", "sampler")
    assert model.card.class_names == ("0", "1", "2", "3", "4")
    save_pretrained(model, tmp_path / "a.keras")
    again = from_pretrained(tmp_path / "a.keras").card
    assert (again.assumed, again.training) == (("frame_stride", "sampler"), Training())


def test_what_is_true_of_the_loaded_weights_alone_is_not_written(tmp_path):
    told = Training(step=9, fixed_batch="5a" * 32, fixed_batch_loss=0.25, licence="MIT", mask_ratio=0.75)
    save_checkpoint(tiny_pretrainer(), tmp_path / "a.keras", "keras", training=told)
    model = from_pretrained(tmp_path / "a.keras")
    assert model.card.training == told
    save_pretrained(model, tmp_path / "b.keras")
    assert from_pretrained(tmp_path / "b.keras").card.training == Training(licence="MIT", mask_ratio=0.75)


def test_of_a_model_that_was_compiled_the_optimizer_is_set_aside(tmp_path):
    model = MODELS["Classifier"]()
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    save_pretrained(model, tmp_path / "a.keras")
    assert len(read_weights(tmp_path / "a.keras").set_aside) > len(model.trainable_variables)
    assert same_weights(model, from_pretrained(tmp_path / "a.keras"))


def test_an_encoder_alone_has_no_place_in_other_formats(tmp_path):
    with pytest.raises(ConfigError, match="has no place for an encoder alone: write it as one of keras, sav"):
        save_checkpoint(encoder(), tmp_path / "x.pth", "pytorch")


@pytest.mark.parametrize(
    ("make", "settings", "told"),
    [
        (lambda: keras.Sequential(), {}, "got a Sequential; expected a model of this package: Pretrainer, Classifier"),
        (tiny_pretrainer, {"name": "a.h5"}, "a.h5 does not end in .keras"),
        (tiny_pretrainer, {"class_names": ["a"]}, "label names were given, and the model has no classes"),
        (MODELS["Classifier"], {"class_names": ["a"]}, "1 label names for 3 classes"),
        (tiny_pretrainer, {"clip": Clip(8, 4, 16)}, "num_frames=8 and image_size=16, the model takes 4 frames of 16"),
    ],
)
def test_what_cannot_be_saved_is_told(make, settings, told, tmp_path):
    path = tmp_path / settings.pop("name", "a.keras")
    with pytest.raises(ConfigError, match=told):
        save_pretrained(make(), path, **settings)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_model_is_told(tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        from_pretrained(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(ConfigError, match=r"notes\.txt"):
        from_pretrained(tmp_path / "notes.txt")
