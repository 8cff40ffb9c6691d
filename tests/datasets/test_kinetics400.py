import pytest
from list_files import message_of, names_of, touch

from mae.data.lists.text_list import index_csv

HEADER = "label,youtube_id,time_start,time_end,split\n"
TRAIN = f"""{HEADER}yoga,-0aB_cd_E1f,20,30,train
massaging person's head,abcde_12_34,0,10,train
air drumming,12345678901,1234,1244,train
"""
VAL = f"{HEADER}air drumming,zzzzzzzzzzz,3,13,validate\n"
TEST = "youtube_id,time_start,time_end,split\nyyyyyyyyyyy,3,13,test\n"
CLASSES = ("air drumming", "massaging person's head", "yoga")
FLAT = ("-0aB_cd_E1f_000020_000030.mp4", "abcde_12_34_000000_000010.mp4", "12345678901_001234_001244.mp4")
VAL_FILE, TEST_FILE = "zzzzzzzzzzz_000003_000013.mp4", "yyyyyyyyyyy_000003_000013.mp4"
LAYOUTS = {
    "flat": (*FLAT, VAL_FILE, TEST_FILE),
    "classes": (f"yoga/{FLAT[0]}", f"massaging person's head/{FLAT[1]}", f"air drumming/{FLAT[2]}", VAL_FILE),
    "underscores": (f"train/yoga/{FLAT[0]}", f"train/massaging_person's_head/{FLAT[1]}", f"train/x/{FLAT[2]}",
                    f"val/air_drumming/{VAL_FILE}"),
    "splits": (*(f"train/{name}" for name in FLAT), f"val/{VAL_FILE}", f"test/{TEST_FILE}"),
    "ids": ("-0aB_cd_E1f.mkv", "abcde_12_34.mp4", "12345678901.zip", "zzzzzzzzzzz/1.jpg"),
    "unpadded": ("-0aB_cd_E1f_20_30.mp4", "abcde_12_34_0_10.mp4", "12345678901_1234_1244.mp4", "zzzzzzzzzzz_3_13.mp4"),
}  # fmt: skip


@pytest.fixture
def official(run, annotations, videos):
    def write(files, **replaced):
        for name, text in {"train": TRAIN, "validate": VAL, "test": TEST, **replaced}.items():
            (annotations / f"{name}.csv").write_text(text)
        touch(videos, *files)
        return run

    return write


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(official, videos, layout):
    files = LAYOUTS[layout]
    official(files)()
    train, val = (index_csv(videos / f"{name}.csv", None) for name in ("train", "val"))
    assert names_of(train, videos) == list(files[:3])
    assert train.labels == (2, 1, 0)
    assert train.class_names == CLASSES
    assert names_of(val, videos) == [files[3].removesuffix("/1.jpg")]
    assert val.labels == (0,)
    assert (videos / "test.csv").exists() == (len(files) == 5)


def test_other_times_are_another_clip(official):
    others = ("12345678901_000000_000010.mp4", "12345678901x_001234_001244.mp4")
    message = message_of(official([FLAT[0], FLAT[1], *others, VAL_FILE]))
    assert "1 of 3 of train, as 12345678901_001234_001244.mp4" in message


def test_a_tenth_may_be_missing(official, videos):
    rows = [f"yoga,{number:011d},0,10,train\n" for number in range(20)]
    run = official(
        [VAL_FILE, *(f"{number:011d}.mp4" for number in range(18))], train=HEADER + "".join(rows) + TRAIN.split("\n")[3]
    )
    message = message_of(run)
    assert "3 of 21 of train, as 00000000018_000000_000010.mp4" in message
    touch(videos, FLAT[2])
    assert "train.csv: 19 videos; 2 of the annotation are missing" in run()
    assert (videos / "missing.txt").read_text().splitlines()[1:] == [
        "train\t00000000018_000000_000010.mp4",
        "train\t00000000019_000000_000010.mp4",
    ]


def test_official_lists_among_the_videos_are_kept(run, annotations, videos, tmp_path):
    touch(videos, *LAYOUTS["flat"])
    (videos / "train.csv").write_text(TRAIN)
    (videos / "val.csv").write_text(VAL)
    annotations.rmdir()
    annotations.symlink_to(videos)
    assert "is an annotation that was read" in message_of(run, "overwrite=true")
    run(f"output={tmp_path / 'lists'}")
    assert names_of(index_csv(tmp_path / "lists" / "train.csv", videos), videos) == list(FLAT)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"train": ""}, "train.csv is empty"),
        ({"train": HEADER}, "train.csv lists no video"),
        ({"train": "a.mp4 3\n"}, "train.csv has no column 'label' in its first line"),
        ({"train": TEST}, "has no column 'label'"),
        ({"train": HEADER + ",12345678901,0,10,train\n"}, "train.csv line 2: no label"),
        ({"train": HEADER + "yoga,1234567890,0,10,train\n"}, "'1234567890' is no YouTube id"),
        ({"train": HEADER + "yoga,12345678901,0,ten,train\n"}, "'0' to 'ten' are not times"),
        ({"train": TRAIN + "yoga,12345678901,1234,1244,train\n"}, "listed twice, at 4 and 5"),
        (
            {"validate": HEADER + "Yoga,zzzzzzzzzzz,3,13,validate\n"},
            "validate.csv line 2: label 'Yoga' is none of the 3",
        ),
    ],
)
def test_mistakes(official, replaced, message):
    assert message in message_of(official(LAYOUTS["flat"], **replaced))
