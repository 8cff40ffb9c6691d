"""Lists for Kinetics-400: `python datasets/kinetics400/prepare.py annotations=DIR videos=DIR`.

Read are the official CSV files: `label,youtube_id,time_start,time_end,split`. Classes are numbered in alphabetical
order. Files are called `<youtube_id>_<start>_<end>.mp4`, seconds with six digits, or `<youtube_id>.mp4`; the
directories they are in, if any, do not matter.
"""

import sys
from collections.abc import Hashable, Sequence
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parents[2]))  # also without an installation

from mae.data.lists.endings import without_extension
from mae.data.lists.official.annotations import (
    AnnotatedVideo,
    Annotations,
    Split,
    annotation_file,
    checked_videos,
    optional_file,
    read_table,
)
from mae.data.lists.official.prepare import OfficialDataset, PrepareConfig, parse_arguments, run_prepare
from mae.errors import ConfigError

ID_LENGTH = 11  # of all YouTube ids; they may hold underscores and digits themselves
COLUMNS = ("youtube_id", "time_start", "time_end")


def read(directory: Path, _split: int) -> Annotations:
    train = annotation_file(directory, *_names("train"))
    val = annotation_file(directory, *_names("validate", "val"))
    test = optional_file(directory, *_names("test"))
    names = tuple(sorted({row["label"] for _, row in read_table(train, ("label", *COLUMNS))}))
    numbers = {name: number for number, name in enumerate(names)}
    splits = [Split("train", _videos(train, numbers)), Split("val", _videos(val, numbers))]
    if test is not None:
        splits.append(Split("test", _videos(test, numbers, may_lack_labels=True), is_optional=True))
    return Annotations(names, tuple(splits), (train, val, *([test] if test else [])))


def key_of(path: str) -> Hashable:
    """YouTube id, start and end; the latter None where the name is the id alone."""
    stem = without_extension(PurePosixPath(path).name)
    times = stem[ID_LENGTH:].split("_")
    if len(times) == 3 and not times[0] and all(time.isdecimal() for time in times[1:]):
        return stem[:ID_LENGTH], int(times[1]), int(times[2])
    return stem, None, None


def _names(*splits: str) -> list[str]:
    return [f"{prefix}{split}.csv" for split in splits for prefix in ("", "kinetics_", "kinetics400_")]


def _videos(path: Path, numbers: dict[str, int], may_lack_labels: bool = False) -> tuple[AnnotatedVideo, ...]:
    """The videos of one file. Early releases of the test set have no column `label`."""
    videos = []
    has_labels = None
    for line, row in read_table(path, COLUMNS):
        if has_labels is None:
            has_labels = "label" in row or not may_lack_labels
        videos.append((line, _video(path, line, row, numbers if has_labels else None)))
    return checked_videos(path, videos)


def _video(path: Path, line: int, row: dict[str, str], numbers: dict[str, int] | None) -> AnnotatedVideo:
    youtube_id = row["youtube_id"]
    if len(youtube_id) != ID_LENGTH:
        raise ConfigError(f"{path} line {line}: {youtube_id!r} is no YouTube id, which have {ID_LENGTH} characters")
    try:
        start, end = int(float(row["time_start"])), int(float(row["time_end"]))
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"{path} line {line}: {row['time_start']!r} to {row['time_end']!r} are not times in seconds"
        ) from error
    label = None
    if numbers is not None:
        name = row.get("label") or ""
        if name not in numbers:
            raise ConfigError(f"{path} line {line}: label {name!r} is none of the {len(numbers)} classes of training")
        label = numbers[name]
    keys = ((youtube_id, start, end), (youtube_id, None, None))
    return AnnotatedVideo(f"{youtube_id}_{start:06d}_{end:06d}.mp4", keys, label)


DATASET = OfficialDataset("kinetics400", num_classes=400, num_splits=1, max_missing=0.1, read=read, key_of=key_of)


def parse(words: Sequence[str]) -> PrepareConfig:
    return parse_arguments(DATASET, words)


if __name__ == "__main__":
    run_prepare(DATASET, __doc__)
