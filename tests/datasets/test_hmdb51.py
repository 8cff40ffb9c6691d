import subprocess
import sys
from pathlib import Path

import pytest
from list_files import message_of, names_of, touch

from mae.data.lists.text_list import index_csv

SCRIPT = Path(__file__).parents[2] / "datasets" / "hmdb51" / "prepare.py"
FILES = {
    "brush_hair_test_split1.txt": "#20_brush[1]_(a)_goo_0.avi 1 \nApril_09_brush_hair_u_nm_np1_ba_goo_0.avi 2 \n",
    "brush_hair_test_split2.txt": "#20_brush[1]_(a)_goo_0.avi 2 \nApril_09_brush_hair_u_nm_np1_ba_goo_0.avi 1 \n",
    "cartwheel_test_split1.txt": "a;b_cartwheel.avi 1 \nunused.avi 0 \nApril_09_brush_hair_u_nm_np1_ba_goo_0.avi 2\n",
    "cartwheel_test_split2.txt": "a;b_cartwheel.avi 2 \nunused.avi 1 \nApril_09_brush_hair_u_nm_np1_ba_goo_0.avi 0\n",
}
FIRST, SECOND = "#20_brush[1]_(a)_goo_0.avi", "April_09_brush_hair_u_nm_np1_ba_goo_0.avi"


@pytest.fixture
def official(run, annotations, videos):
    def write(**replaced):
        for name, text in FILES.items():
            (annotations / name).write_text(replaced.get(name.split("_test")[0], text))
        touch(videos, f"brush_hair/{FIRST}", f"brush_hair/{SECOND}", "cartwheel/a;b_cartwheel.avi")
        touch(videos, f"cartwheel/{SECOND}", "cartwheel/unused.avi")
        return run

    return write


def test_first_split(official, videos):
    told = official()()
    train, test = (index_csv(videos / f"{name}.csv", None) for name in ("train", "test"))
    assert names_of(train, videos) == [f"brush_hair/{FIRST}", "cartwheel/a;b_cartwheel.avi"]
    assert train.labels == (0, 1)
    assert train.class_names == ("brush_hair", "cartwheel")
    assert names_of(test, videos) == [f"brush_hair/{SECOND}", f"cartwheel/{SECOND}"]
    assert test.labels == (0, 1)
    assert "the whole data set has 51" in told


def test_second_split(official, videos):
    official()("split=2")
    train = index_csv(videos / "train.csv", None)
    assert names_of(train, videos) == [f"brush_hair/{SECOND}", "cartwheel/unused.avi"]


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"brush_hair": ""}, "brush_hair_test_split1.txt is empty"),
        ({"brush_hair": "a.avi 3\n"}, "line 1: 'a.avi 3' is not of the form `video.avi 1`"),
        ({"brush_hair": "a.avi 1\nb.avi\n"}, "line 2: 'b.avi' is not of the form"),
        ({"brush_hair": "1\n"}, "line 1: '1' is not of the form"),
        ({"brush_hair": "a.avi 1\na.avi 2\n"}, "brush_hair/a.avi is listed twice, at 1 and 2"),
        ({"brush_hair": "a.avi 1\n", "cartwheel": "a.avi 1\n"}, "no video of split 1 is marked 2, for test"),
    ],
)
def test_mistakes(official, replaced, message):
    assert message in message_of(official(**replaced))


def test_missing_annotations(official, annotations):
    run = official()
    assert f"{annotations} holds no <class>_test_split3.txt" in message_of(run, "split=3")
    for path in annotations.iterdir():
        path.unlink()
    annotations.rmdir()
    assert f"annotations={annotations} is not a directory" in message_of(run)


def test_as_a_command(official, annotations, videos, tmp_path):
    """From any working directory: a mistake is one line and status 2."""
    official()
    words = [sys.executable, str(SCRIPT), "annotations=annotations", "videos=videos"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "train.csv: 2 videos; 0 of the annotation are missing"
    wrong = subprocess.run([*words[:3], "videos=absent"], cwd=tmp_path, capture_output=True, text=True)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "error: videos=" + str(tmp_path / "absent") + (
        " is not a directory; give the folder that holds the videos\n"
    )
    nothing = subprocess.run(words[:2], cwd=tmp_path, capture_output=True, text=True)
    assert nothing.returncode == 2
    assert nothing.stderr.count("\n") == 1
