import hashlib

from list_files import touch, write_list

from mae.data.lists.folder import index_folder
from mae.data.lists.text_list import index_csv
from mae.data.lists.video_index import VideoIndex, list_digest


def test_the_digest_depends_on_names_and_labels_not_on_the_place(tmp_path):
    touch(tmp_path / "a", "walk/1.mp4", "run/2.mp4")
    touch(tmp_path / "b", "walk/1.mp4", "run/2.mp4")
    touch(tmp_path / "c", "walk/1.mp4", "run/3.mp4")
    digests = [index_folder(tmp_path / name).digest for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
    as_list = write_list(tmp_path / "b", "run/2.mp4,0\nwalk/1.mp4,1\n")
    other_labels = write_list(tmp_path / "b", "run/2.mp4,1\nwalk/1.mp4,0\n", "other.csv")
    absolute = write_list(tmp_path, f"{tmp_path}/a/run/2.mp4,0\n{tmp_path}/a/walk/1.mp4,1\n")
    assert index_csv(as_list, None).digest == digests[0]
    assert index_csv(absolute, tmp_path / "a").digest == digests[0]
    assert index_csv(other_labels, None).digest != digests[0]


def test_the_digest_by_hand():
    """Checkpoints hold it, so it must stay what it is."""
    plain = hashlib.sha256(b"run/2.mp4\t0\nwalk/1.mp4\t1\n").hexdigest()
    assert list_digest(["run/2.mp4", "walk/1.mp4"], (0, 1)) == plain
    assert list_digest(["run/2.mp4", "walk/1.mp4"], (0, 1), None) == plain
    assert list_digest(["a b.mp4"], None) == hashlib.sha256(b"a b.mp4\t\n").hexdigest()
    cut = hashlib.sha256(b"a.mp4\t0\t0.5\t2.0\nb.mp4\t1\n").hexdigest()
    assert list_digest(["a.mp4", "b.mp4"], (0, 1), ((0.5, 2.0), None)) == cut
    strided = hashlib.sha256(b"a.mp4\t\tstride 2\nb.mp4\t\n").hexdigest()
    assert list_digest(["a.mp4", "b.mp4"], None, None, (2, None)) == strided
    both = hashlib.sha256(b"a.mp4\t0\t0.5\t2.0\tstride 2\n").hexdigest()
    assert list_digest(["a.mp4"], (0,), ((0.5, 2.0),), (2,)) == both


def test_the_digest_of_a_list_without_strides_is_that_of_one_without_the_column(tmp_path):
    texts = ["a.mp4,0\n", "path,label,stride\na.mp4,0,\n", "path,label,stride\na.mp4,0,2\n"]
    digests = [index_csv(write_list(tmp_path, text), None).digest for text in texts]
    assert digests[0] == digests[1] != digests[2]


def test_the_digest_depends_on_segments_but_not_on_how_they_are_written(tmp_path):
    texts = ["a.mp4,0,1,2\n", "a.mp4 0 1.0 2e0\n", "a.mp4,0,1,3\n", "a.mp4,0,,\n", "a.mp4,0\n"]
    digests = [index_csv(write_list(tmp_path, text), None).digest for text in texts]
    assert digests[0] == digests[1]
    assert digests[3] == digests[4]
    assert len(set(digests)) == 3


def index_of(paths, **fields):
    values = {"labels": None, "class_names": None, "digest": "0123456789abcdef01", **fields}
    return VideoIndex(paths=tuple(paths), **values)


def test_number_of_classes():
    assert index_of("ab").num_classes is None
    assert index_of("ab", labels=(4, 0)).num_classes == 5
    assert index_of("ab", labels=(1, 0), class_names=("x", "y", "z")).num_classes == 3


def test_empty_classes():
    assert index_of("ab", class_names=("x", "y")).empty_classes == ()
    assert index_of("ab", labels=(3, 1)).empty_classes == ("0", "2")
    assert index_of("ab", labels=(2, 0), class_names=("x", "y", "z")).empty_classes == ("y",)


def test_duplicates_have_the_same_path_segment_and_stride():
    assert index_of("abaa").duplicates == 2
    assert index_of("abaa", strides=(2, 2, 2, None)).duplicates == 1
    assert index_of("abaa", segments=((0, 1), None, (0, 1), (1, 2))).duplicates == 1


def test_what_is_told():
    rows = index_of("aba", labels=(7, 7, 0), segments=(None, (0, 1), None), missing=1).rows()
    assert rows == [
        ("videos", "3 listed, 1 missing, 1 listed more than once, 1 with start and end, list hash 0123456789abcdef"),
        ("classes", "8: 0 (1), 7 (2)"),
        ("classes without video", "6 of 8: 1, 2, 3, 4, 5 and 1 more; are the numbers behind the paths labels?"),
        ("under two labels", "1, the first: a (7 and 0)"),
        ("first video", "a"),
        ("last video", "a"),
    ]
    assert dict(index_of("ab").rows())["videos"] == "2 listed, list hash 0123456789abcdef"
    assert "classes" not in dict(index_of("ab").rows())
    assert dict(index_of("ab", class_names=("x",)).rows())["classes"] == "1, no labels"


def test_classes_are_told_by_name_with_their_sizes():
    names = tuple("abcdefghijkl")
    labels = (0, 0, *range(11))
    rows = dict(index_of("p" * 13, labels=labels, class_names=names).rows())
    assert rows["classes"] == ("12: a (3), b (1), c (1), d (1), e (1), f (1), g (1), h (1), i (1), j (1) and 1 more")
    assert rows["classes without video"] == "1 of 12: l"
    from_one = dict(index_of("abc", labels=(1, 2, 1)).rows())
    assert from_one["classes without video"] == "1 of 3: 0; labels begin with 1 here: classes are counted from 0"


def test_videos_under_two_labels():
    index = index_of("abaab", labels=(0, 1, 2, 2, 1), class_names=("run", "walk", "jump"))
    assert index.contradictions == {"a": (0, 2)}
    assert dict(index.rows())["under two labels"] == "1, the first: a (run and jump)"
    apart = index_of("aa", labels=(0, 1), segments=((0, 1), (1, 2)))
    assert apart.contradictions == {}
    assert "under two labels" not in dict(apart.rows())
    assert index_of("aa").contradictions == {}


def test_what_else_there_is_to_say():
    rows = index_of("ab", notes=(("left out", "3 files"),)).rows()
    assert rows[:2] == [("videos", "2 listed, list hash 0123456789abcdef"), ("left out", "3 files")]


def test_strides_are_told():
    assert "strides in the list" not in dict(index_of("ab").rows())
    strides = (4, 2, 2, None, 4, 4)
    told = dict(index_of("abcdef", strides=strides).rows())["strides in the list"]
    assert told == "2 for 2 videos, 4 for 3, dataset.frame_stride for 1"
    told = dict(index_of("abcdefg", strides=(5, 4, 3, 2, 1, 1, 6)).rows())["strides in the list"]
    assert told == "1 for 2 videos, 3 for 1, 4 for 1, 5 for 1, others for 2"


def test_a_part_keeps_what_its_videos_have():
    index = index_of("abc", labels=(0, 1, 2), segments=(None, (0, 1), None), strides=(4, None, 2)).part([2, 1])
    assert (index.paths, index.labels) == (("c", "b"), (2, 1))
    assert (index.segments, index.strides) == ((None, (0, 1)), (2, None))
