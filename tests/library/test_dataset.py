"""Batches are those of the loader that runs use; Keras and `tf.data` get the same ones."""

import keras
import numpy as np
import pytest
from configured import configured, configured_finetuning

from mae.data.bad_videos import BadVideos
from mae.data.clips import ClipReader, ClipSpec
from mae.data.lists.folder import index_folder
from mae.data.pipeline import Portion, training_batches
from mae.errors import ConfigError, TrainingStopped
from mae.library.clip import AUGMENTATIONS, Clip, augmentation
from mae.library.dataset import Reading, load_dataset

CLIP = Clip(num_frames=4, frame_stride=1, image_size=16)
WORKERS = Reading(workers=2)


def equal(batch, other):
    return all(np.array_equal(part, of_other) for part, of_other in zip(batch, other, strict=True))


@pytest.fixture
def training(folder):
    return load_dataset(folder, CLIP, "finetuning", batch_size=2, seed=3, reading=WORKERS)


def test_batches_are_those_of_a_run(folder, training):
    index = index_folder(folder)
    reader = ClipReader(index, ClipSpec(4, 1, 16, AUGMENTATIONS["finetuning"]), seed=3)
    steps = Portion(2, range(4))
    expected = list(training_batches(reader, {}, BadVideos(None, 5, 1.0), steps, seed=3, workers=1, prefetch=1))
    made = [*training, *training]  # two epochs of two batches
    assert (len(training), training.epoch, len(made)) == (2, 2, 4)
    for (clips, labels, weights), batch in zip(made, expected, strict=True):
        np.testing.assert_array_equal(clips, batch["videos"])
        assert labels.tolist() == [index.labels[example] for example in batch["example"]]
        assert weights.tolist() == [1, 1]


def test_a_batch_by_its_number_and_in_order(training):
    by_number = [training[number] for number in (1, 0)]
    in_order = list(training)
    assert equal(by_number[1], in_order[0])
    assert equal(by_number[0], in_order[1])
    assert training.epoch == 1
    assert not equal(by_number[1], training[0])
    with pytest.raises(IndexError, match="batch 2 of an epoch of 2"):
        training[2]


def test_without_augmentation_every_video_is_seen_in_the_middle_and_in_order(folder):
    dataset = load_dataset(str(folder), CLIP, batch_size=2, reading=WORKERS)
    reader = ClipReader(index_folder(folder), ClipSpec(4, 1, 16), seed=0)
    batches = list(dataset)
    assert [len(clips) for clips, _, _ in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([b[0] for b in batches]), [reader.center_clip(i) for i in range(5)])
    assert np.concatenate([b[1] for b in batches]).tolist() == [0, 0, 0, 1, 1]
    assert equal(dataset[2], batches[2])
    assert equal(next(iter(dataset)), batches[0])


@pytest.mark.parametrize("augment", [None, "pretraining"])
def test_what_cannot_be_read_is_black_and_counts_nothing(folder, augment, tmp_path):
    (tmp_path / "broken.avi").write_bytes(b"RIFF")
    paths = [folder / "grow" / "0.avi", tmp_path / "broken.avi"]
    dataset = load_dataset(paths, CLIP, augment, batch_size=2, reading=Reading(workers=1, max_bad_frac=0.5))
    (clips, labels, weights), bad = dataset[0], str(tmp_path / "broken.avi")
    assert sorted(weights.tolist()) == [0, 1]
    assert not clips[weights == 0].any()
    assert clips[weights == 1].any()
    assert labels.tolist() == [-1, -1]
    assert list(dataset.bad_videos) == [bad]
    strict = load_dataset(paths, CLIP, augment, batch_size=2, reading=WORKERS)
    with pytest.raises(TrainingStopped, match=f"1 of 2 videos cannot be .* reading.max_bad_frac=0.01 .*{bad}"):
        strict[0]


def test_fit_and_predict_take_it(folder, training):
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    model.fit(training, epochs=2, verbose=0)
    assert training.epoch == 3  # before the first one Keras looks at a batch and begins anew
    looked_at = load_dataset(folder, CLIP, batch_size=2, reading=WORKERS)
    logits = model.predict(looked_at, verbose=0)
    clips = np.concatenate([clips for clips, _, _ in looked_at])
    np.testing.assert_allclose(logits, model(clips), rtol=1e-4)


def test_as_a_dataset_of_tensorflow(folder, training):
    expected = [training[0], training[1]]
    as_tensors = training.as_tf_dataset()
    assert int(as_tensors.cardinality()) == 2
    for batch, other in zip(as_tensors.as_numpy_iterator(), expected, strict=True):
        assert equal(batch, other)
    assert training.epoch == 1


def test_labels(folder):
    names = ("move_right", "move_left", "grow")
    renumbered = load_dataset(folder, CLIP, batch_size=5, labels=names, reading=WORKERS)
    assert renumbered[0][1].tolist() == [2, 2, 2, 1, 1]
    assert renumbered.class_names == names
    assert load_dataset(folder, CLIP, batch_size=5, labels=False)[0][1].tolist() == [-1] * 5
    pairs = [("grow/0.avi", "b"), ("move_left/0.avi", "a")]
    listed = load_dataset(pairs, CLIP, reading=Reading(root=str(folder)))
    assert (listed.class_names, listed[0][1].tolist()) == (("a", "b"), [1, 0])
    assert load_dataset([(folder / "grow" / "0.avi", 3)], CLIP)[0][1].tolist() == [3]


def test_a_part_of_a_divided_folder(folder, tmp_path):
    for part, name in (("train", "grow"), ("val", "move_left")):
        (tmp_path / part).mkdir()
        (tmp_path / part / name).symlink_to(folder / name)
    assert load_dataset(tmp_path, CLIP, split="val").class_names == ("move_left",)
    with pytest.raises(ConfigError, match="is divided into train, val: give one of them as split="):
        load_dataset(tmp_path, CLIP)
    with pytest.raises(ConfigError, match="split 'test' does not exist"):
        load_dataset(tmp_path, CLIP, split="test")


@pytest.mark.parametrize(
    ("videos", "settings", "told"),
    [
        ("nowhere", {}, "videos=nowhere does not exist; give a list"),
        ([], {}, r"videos=\[\] lists no video"),
        (["a.avi", 3], {}, r"videos=\[…\], line 2 is 3; expected a path, or a pair"),
        ([("a.avi", 0), "b.avi"], {}, r"videos=\[…\], line 2: 'b.avi' has no label but line 1 has one"),
        (["a.avi"], {"split": "val"}, r"are for folders and lists, and videos=\[…\] is a sequence"),
        (["a.avi"], {"labels": ["x", "y"]}, "labels= names 2 classes, and .*a.avi and the others have no labels"),
        (None, {"labels": ["x", "y"]}, r"the class 'grow' of .* is unknown to labels="),
        (None, {"split": "val"}, "is no folder with folders train, val and test in it"),
        (None, {"augment": "finetuning", "batch_size": 8}, r"batch_size=8 must lie in \[1, 5\], the number of videos"),
        (None, {"augment": "finetune"}, "augmentation 'finetune' does not exist; did you mean 'finetuning'"),
    ],
)
def test_mistakes_are_told(videos, settings, told, folder):
    with pytest.raises(ConfigError, match=told):
        load_dataset(folder if videos is None else videos, CLIP, **settings)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Reading(decoder="cv2"), "decoder 'cv2' does not exist"),
        (lambda: Reading(timeout_s=0), "timeout_s=0 must be above 0"),
        (lambda: Reading(max_bad_frac=2), r"max_bad_frac=2 must lie in \[0, 1\]"),
        (lambda: Clip(num_frames=0), "num_frames=0 must be at least 1"),
        (lambda: Clip(sampler="dense"), "sampler 'dense' does not exist; did you mean 'dense_stride'"),
        (lambda: augmentation("finetuning", flips=True), "setting of an augmentation 'flips' does not exist"),
    ],
)
def test_settings_that_cannot_be_are_told(make, told):
    with pytest.raises(ConfigError, match=told):
        make()


def test_augmentations_are_those_of_the_published_recipes():
    assert AUGMENTATIONS["pretraining"] == configured("recipe=kinetics400").augment
    assert AUGMENTATIONS["finetuning"] == configured_finetuning("recipe=kinetics400").augment


def test_several_labels_and_numbers_come_as_rows(folder, tmp_path):
    videos = load_dataset(folder, CLIP).index.paths
    texts = {"multilabel": ("walk;run", "", "run"), "regression": ("0.5", "2", "-1")}
    expected = {"multilabel": ([[1, 1], [0, 0], [1, 0]], np.uint8), "regression": ([[0.5], [2], [-1]], np.float32)}
    for task, written in texts.items():
        rows = [f"{path},{text}" for path, text in zip(videos, written, strict=False)]
        (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
        reading = Reading(workers=1, task=task)
        ((_, labels, weights),) = load_dataset(tmp_path / "list.csv", CLIP, batch_size=3, reading=reading)
        assert (labels.tolist(), labels.dtype) == expected[task]
        assert weights.tolist() == [1, 1, 1]
        with pytest.raises(ConfigError, match=rf"reading.task={task} is for lists"):
            load_dataset(folder, CLIP, reading=reading)
