import json

import pytest
from list_files import message_of, names_of, touch

from mae.data.lists.text_list import index_csv

LABELS = {"Moving something up": "1", "Holding something, really": "0", "Putting something next to something": "2"}
TRAIN = [
    {
        "id": "78687",
        "label": "moving a cup up",
        "template": "Moving [something] up",
        "placeholders": ["a cup"],
    },
    {
        "id": "42326",
        "label": "putting a pen next to a cup",
        "template": "Putting [something] next to [something]",
        "placeholders": ["a pen", "a cup"],
    },
]
VAL = [{"id": "74225", "label": "…", "template": "Holding [something], really", "placeholders": []}]
TEST = [{"id": "1420"}, {"id": "3287"}]


@pytest.fixture
def official(run, annotations, videos):
    """Writes the files of a download, with some replaced."""

    def write(**replaced):
        files = {"labels": LABELS, "train": TRAIN, "validation": VAL, "test": TEST, **replaced}
        for name, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            annotations.joinpath(f"something-something-v2-{name}.json").write_text(text, encoding="utf-8")
        touch(videos, *(f"20bn-something-something-v2/{n}.webm" for n in (78687, 42326, 74225, 1420, 3287, 999)))
        return run

    return write


def test_lists(official, videos):
    told = official()()
    folder = videos / "20bn-something-something-v2"
    train = index_csv(videos / "train.csv", videos)
    assert names_of(train, folder) == ["78687.webm", "42326.webm"]
    assert train.labels == (1, 2)
    assert train.class_names == (
        "Holding something, really",
        "Moving something up",
        "Putting something next to something",
    )
    assert train.empty_classes == ("Holding something, really",)
    assert index_csv(videos / "val.csv", videos).labels == (0,)
    test = index_csv(videos / "test.csv", videos)
    assert (names_of(test, folder), test.labels) == (["1420.webm", "3287.webm"], None)
    assert "the whole data set has 174" in told


def test_short_names_and_extracted_frames(run, annotations, videos):
    for name, content in {"labels": LABELS, "train": TRAIN, "validation": VAL}.items():
        (annotations / f"{name}.json").write_text(json.dumps(content))
    touch(videos, "78687/000001.jpg", "42326/000001.jpg", "74225/000001.jpg")
    run()
    assert (videos / "train.csv").read_text() == "path,label\n./78687,1\n./42326,2\n"
    assert names_of(index_csv(videos / "train.csv", videos), videos) == ["78687", "42326"]
    assert not (videos / "test.csv").exists()


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"train": '[{"id": "1"'}, "something-something-v2-train.json is not JSON"),
        ({"train": []}, "holds no list of videos"),
        ({"train": ""}, "train.json is empty"),
        ({"train": LABELS}, "train.json holds no list of videos"),
        ({"labels": TRAIN}, "labels.json holds no object of names"),
        ({"validation": [{"label": "x"}]}, "validation.json: video 1 has no id"),
        ({"train": [*TRAIN, {"id": "5"}]}, "train.json: video 5 has no template"),
        (
            {"train": [{"id": "5", "template": "Eating [something]"}]},
            "'Eating [something]' of video 5 is none of the 3",
        ),
        ({"train": [*TRAIN, TRAIN[0]]}, "78687.webm is listed twice, at 1 and 3"),
        ({"labels": {"a": "0", "b": "2"}}, "does not number its 2 classes 0 to 1"),
        ({"labels": {"a": "0", "b": None}}, "has a class without a number"),
        ({"labels": {"a": "0", "b": "one"}}, "has a class without a number"),
    ],
)
def test_mistakes(official, replaced, message):
    assert message in message_of(official(**replaced))


def test_missing_videos_are_refused(official, videos):
    run = official()
    (videos / "20bn-something-something-v2" / "42326.webm").unlink()
    assert "1 of 2 of train, as 42326.webm" in message_of(run)
    assert "train.csv: 1 videos; 1 of the annotation are missing" in run("allow_missing=true")
