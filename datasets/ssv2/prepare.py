"""Lists for Something-Something V2: `python datasets/ssv2/prepare.py annotations=DIR videos=DIR`.

Read are the JSON files of the download: class numbers by template without brackets, and for training, validation and
test a list of videos with `id` and, but for test, `template`. Files are called `<id>.webm`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # also without an installation

from mae.data.lists.official.annotations import (
    AnnotatedVideo,
    Annotations,
    Split,
    annotation_file,
    checked_videos,
    optional_file,
    read_json,
)
from mae.data.lists.official.prepare import OfficialDataset, PrepareConfig, parse_arguments, run_prepare
from mae.data.lists.official.video_files import file_name
from mae.errors import ConfigError


def read(directory: Path, _split: int) -> Annotations:
    labels_file = annotation_file(directory, *_names("labels"))
    numbers = _class_numbers(labels_file)
    sources = {
        "train": annotation_file(directory, *_names("train")),
        "val": annotation_file(directory, *_names("validation")),
    }
    test = optional_file(directory, *_names("test"))
    splits = [Split(name, _videos(path, numbers)) for name, path in sources.items()]
    if test is not None:
        splits.append(Split("test", _videos(test, None), is_optional=True))
    paths = (labels_file, *sources.values(), *([test] if test else []))
    return Annotations(tuple(sorted(numbers, key=numbers.__getitem__)), tuple(splits), paths)


def _names(what: str) -> tuple[str, str]:
    return f"something-something-v2-{what}.json", f"{what}.json"


def _class_numbers(path: Path) -> dict[str, int]:
    try:
        numbers = {name: int(number) for name, number in read_json(path, dict).items()}
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} has a class without a number: {error}") from error
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise ConfigError(f"{path} does not number its {len(numbers)} classes 0 to {len(numbers) - 1}, each once")
    return numbers


def _videos(path: Path, numbers: dict[str, int] | None) -> tuple[AnnotatedVideo, ...]:
    """The videos of one file; without class numbers, as of the test set, they get no labels."""
    entries = list(enumerate(read_json(path, list), start=1))
    return checked_videos(path, [(place, _video(path, place, entry, numbers)) for place, entry in entries])


def _video(path: Path, place: int, entry: Any, numbers: dict[str, int] | None) -> AnnotatedVideo:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str | int):
        raise ConfigError(f"{path}: video {place} has no id")
    number = str(entry["id"])
    label = None
    if numbers is not None:
        template = entry.get("template")
        if not isinstance(template, str):
            raise ConfigError(f"{path}: video {number} has no template")
        name = template.replace("[", "").replace("]", "")
        if name not in numbers:
            raise ConfigError(f"{path}: template {template!r} of video {number} is none of the {len(numbers)} classes")
        label = numbers[name]
    return AnnotatedVideo(f"{number}.webm", (number,), label)


DATASET = OfficialDataset("ssv2", num_classes=174, num_splits=1, max_missing=0.0, read=read, key_of=file_name)


def parse(words: Sequence[str]) -> PrepareConfig:
    return parse_arguments(DATASET, words)


if __name__ == "__main__":
    run_prepare(DATASET, __doc__)
