import pytest
from list_files import message_of, names_of, touch

from mae.data.lists.text_list import index_csv

FILES = {
    "classInd.txt": "1 ApplyEyeMakeup\r\n2 Archery\r\n",
    "trainlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\nArchery/v_Archery_g08_c01.avi 2\r\n",
    "testlist01.txt": "Archery/v_Archery_g01_c01.avi\r\n",
    "trainlist02.txt": "Archery/v_Archery_g01_c01.avi 2\nArchery/v_Archery_g08_c01.avi 2\n",
    "testlist02.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi\n",
}


@pytest.fixture
def official(run, annotations, videos):
    def write(**replaced):
        for name, text in FILES.items():
            (annotations / name).write_text(replaced.get(name.split(".")[0], text))
        touch(videos, "UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi")
        touch(videos, "UCF-101/Archery/v_Archery_g01_c01.avi", "UCF-101/Archery/v_Archery_g08_c01.avi")
        return run

    return write


def test_first_split(official, videos):
    told = official()()
    train, test = (index_csv(videos / f"{name}.csv", None) for name in ("train", "test"))
    assert names_of(train, videos / "UCF-101") == [
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
        "Archery/v_Archery_g08_c01.avi",
    ]
    assert train.labels == (0, 1)
    assert train.class_names == ("ApplyEyeMakeup", "Archery")
    assert names_of(test, videos / "UCF-101") == ["Archery/v_Archery_g01_c01.avi"]
    assert test.labels == (1,)
    assert "the whole data set has 101" in told


def test_second_split(official, videos, tmp_path):
    official()("split=2", f"output={tmp_path / 'second'}")
    assert index_csv(tmp_path / "second" / "train.csv", videos).labels == (1, 1)
    assert index_csv(tmp_path / "second" / "test.csv", videos).labels == (0,)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"classInd": ""}, "classInd.txt is empty"),
        (
            {"classInd": "0 ApplyEyeMakeup\n1 Archery\n"},
            "classInd.txt line 1: '0 ApplyEyeMakeup' is not of the form `1",
        ),
        ({"classInd": "1 ApplyEyeMakeup\n3 Archery\n"}, "line 2: '3 Archery' is not of the form `2 ClassName`"),
        (
            {"trainlist01": "Archery/a.avi 3\n"},
            "trainlist01.txt line 1: 'Archery/a.avi 3' has number 3, but Archery is",
        ),
        ({"trainlist01": "ApplyEyeMakeup/a.avi 1\nArchery/a.avi 1\n"}, "line 2: 'Archery/a.avi 1' has number 1"),
        (
            {"trainlist01": "Archery/a.avi\n"},
            "has none of the 2 classes as directory; expected `ClassName/video.avi numb",
        ),
        ({"trainlist01": "Bowling/a.avi 2\n"}, "has none of the 2 classes"),
        ({"trainlist01": "Archery/a.avi 2\nArchery/a.avi 2\n"}, "listed twice, at 1 and 2"),
        ({"testlist01": ""}, "testlist01.txt is empty"),
    ],
)
def test_mistakes(official, replaced, message):
    assert message in message_of(official(**replaced))


def test_missing_annotations(official, annotations):
    run = official()
    assert f"annotations={annotations} holds no trainlist03.txt" in message_of(run, "split=3")
    assert "split=4 does not exist: ucf101 has 3" in message_of(run, "split=4")
