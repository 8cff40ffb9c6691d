"""Lists for HMDB51: `python datasets/hmdb51/prepare.py annotations=DIR videos=DIR [split=1]`.

Read are the official text files, one for each class and split: `brush_hair_test_split1.txt` with lines
`April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1`, where 1 is training, 2 test and 0 neither. Classes are numbered in
alphabetical order. Files lie in a directory for each class.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # also without an installation

from mae.data.lists.official.annotations import AnnotatedVideo, Annotations, Split, checked_videos, read_lines
from mae.data.lists.official.prepare import OfficialDataset, PrepareConfig, parse_arguments, run_prepare
from mae.data.lists.official.video_files import class_and_name
from mae.errors import ConfigError

UNUSED, TRAIN, TEST = "0", "1", "2"


def read(directory: Path, split: int) -> Annotations:
    if not directory.is_dir():
        raise ConfigError(f"annotations={directory} is not a directory")
    ending = f"_test_split{split}.txt"
    sources = {path.name.removesuffix(ending): path for path in directory.glob(f"*{ending}")}
    if not sources:
        raise ConfigError(f"annotations={directory} holds no <class>{ending}; give the folder of the official splits")
    names = tuple(sorted(sources))
    videos: dict[str, list[AnnotatedVideo]] = {TRAIN: [], TEST: [], UNUSED: []}
    for label, name in enumerate(names):
        read_of_class = [
            (line, *_video(f"{sources[name]} line {line}", text, name, label))
            for line, text in read_lines(sources[name])
        ]
        checked_videos(sources[name], [(line, video) for line, _, video in read_of_class])
        for _, use, video in read_of_class:
            videos[use].append(video)
    for use, what in ((TRAIN, "training"), (TEST, "test")):
        if not videos[use]:
            raise ConfigError(f"annotations={directory}: no video of split {split} is marked {use}, for {what}")
    splits = (Split("train", tuple(videos[TRAIN])), Split("test", tuple(videos[TEST])))
    return Annotations(names, splits, tuple(sources.values()))


def _video(place: str, text: str, name: str, label: int) -> tuple[str, AnnotatedVideo]:
    """How a video is used, and the video."""
    file, use = text.rsplit(maxsplit=1) if len(text.split()) > 1 else ("", text)
    if not file or use not in (UNUSED, TRAIN, TEST):
        raise ConfigError(f"{place}: {text!r} is not of the form `video.avi 1`, with 1 training, 2 test or 0 neither")
    path = f"{name}/{file.strip()}"
    return use, AnnotatedVideo(path, (class_and_name(path),), label)


DATASET = OfficialDataset("hmdb51", num_classes=51, num_splits=3, max_missing=0.0, read=read, key_of=class_and_name)


def parse(words: Sequence[str]) -> PrepareConfig:
    return parse_arguments(DATASET, words)


if __name__ == "__main__":
    run_prepare(DATASET, __doc__)
