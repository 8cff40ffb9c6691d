"""Lists for UCF101: `python datasets/ucf101/prepare.py annotations=DIR videos=DIR [split=1]`.

Read are the official text files: `classInd.txt` with `1 ApplyEyeMakeup`, `trainlist01.txt` with
`ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1`, and `testlist01.txt` with the paths alone. Classes there count from 1,
ours from 0.
"""

import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parents[2]))  # also without an installation

from mae.data.lists.official.annotations import (
    AnnotatedVideo,
    Annotations,
    Split,
    annotation_file,
    checked_videos,
    read_lines,
)
from mae.data.lists.official.prepare import OfficialDataset, PrepareConfig, parse_arguments, run_prepare
from mae.data.lists.official.video_files import class_and_name
from mae.errors import ConfigError


def read(directory: Path, split: int) -> Annotations:
    classes = annotation_file(directory, "classInd.txt")
    train = annotation_file(directory, f"trainlist{split:02d}.txt")
    test = annotation_file(directory, f"testlist{split:02d}.txt")
    names = _class_names(classes)
    splits = (Split("train", _videos(train, names, has_labels=True)), Split("test", _videos(test, names, False)))
    return Annotations(names, splits, (classes, train, test))


def _class_names(path: Path) -> tuple[str, ...]:
    names: list[str] = []
    for line, text in read_lines(path):
        number, _, name = text.partition(" ")
        if number != str(len(names) + 1) or not name.strip():
            raise ConfigError(f"{path} line {line}: {text!r} is not of the form `{len(names) + 1} ClassName`")
        names.append(name.strip())
    return tuple(names)


def _videos(path: Path, names: tuple[str, ...], has_labels: bool) -> tuple[AnnotatedVideo, ...]:
    videos = [(line, _video(f"{path} line {line}", text, names, has_labels)) for line, text in read_lines(path)]
    return checked_videos(path, videos)


def _video(place: str, text: str, names: tuple[str, ...], has_labels: bool) -> AnnotatedVideo:
    video, _, number = text.rpartition(" ") if has_labels else (text, "", "")
    name = PurePosixPath(video).parent.name
    if name not in names:
        form = "ClassName/video.avi number" if has_labels else "ClassName/video.avi"
        raise ConfigError(f"{place}: {text!r} has none of the {len(names)} classes as directory; expected `{form}`")
    label = names.index(name)
    if has_labels and number != str(label + 1):
        raise ConfigError(f"{place}: {text!r} has number {number}, but {name} is class {label + 1} of {len(names)}")
    return AnnotatedVideo(video, (class_and_name(video),), label)


DATASET = OfficialDataset("ucf101", num_classes=101, num_splits=3, max_missing=0.0, read=read, key_of=class_and_name)


def parse(words: Sequence[str]) -> PrepareConfig:
    return parse_arguments(DATASET, words)


if __name__ == "__main__":
    run_prepare(DATASET, __doc__)
