"""A data set on one page: what one wants to see of it before a week of training."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mae.data.lists.video_index import VideoIndex
from mae.data.scan.duplicates import Duplicates
from mae.data.scan.table import scan_rows
from mae.data.videos.decoding import RGB, Decoding
from mae.data.videos.scan_report import ScanReport
from mae.data.videos.thumbnails import middle_frame
from mae.monitoring.pages.write import write_html

PACKAGES = {"jinja2": "jinja2"}  # module and package
TEMPLATE = Path(__file__).parent / "data_set.html"
MOST_CLASSES = 100  # that are shown with frames, the largest first
FRAMES_OF_CLASS = 6
FRAMES_OF_UNLABELLED = 48
MOST_LISTED = 100  # broken videos, groups of duplicates, leaks
MOST_VALUES = 12  # of a property, the most frequent first
BINS = 16  # of lengths
FEW = 10  # videos of a class


@dataclass(frozen=True)
class Bar:
    """A value, how many videos have it, and how long its bar is beside the longest (0 to 100)."""

    name: str
    count: int
    percent: float


@dataclass(frozen=True)
class ShownClass:
    """A class with frames from the middle of some of its videos; a picture is None where none can be read."""

    name: str
    count: int
    frames: Sequence[tuple[str | None, str]]  # picture and path


def write_page(
    output: Path,
    name: str,
    index: VideoIndex,
    reports: Mapping[str, ScanReport],
    duplicates: Duplicates,
    decoding: Decoding = RGB,
) -> None:
    """Writes one HTML file that needs nothing beside it; the whole file or nothing.

    Args:
        output: the file.
        name: of what was scanned.
        index: its videos.
        reports: of every path of it.
        duplicates: what is the same in it.
        decoding: how its frames are shown.

    Raises:
        OSError: the file cannot be written.
    """
    write_html(TEMPLATE, page_content(name, index, reports, duplicates, decoding), output)


def page_content(
    name: str,
    index: VideoIndex,
    reports: Mapping[str, ScanReport],
    duplicates: Duplicates,
    decoding: Decoding = RGB,
) -> dict[str, Any]:
    """What the template is filled with; arguments as those of `write_page`."""
    good = [report for report in reports.values() if not report.is_broken]
    content: dict[str, Any] = {
        "title": f"{name}: {len(reports)} videos",
        "subtitle": f"scanned on {time.strftime('%Y-%m-%d %H:%M')}",
        "remarks": remarks(index, reports, duplicates),
        "rows": [row for row in scan_rows(reports) if row[0] != "broken"],
        "properties": _properties(good),
        "class_sizes": class_sizes(index),
        "classes": _shown_classes(index, reports, decoding),
        "leaks": [str(leak) for leak in duplicates.leaks],
        "same_content": ["\n    = ".join(group) for group in duplicates.same_content],
        "repeated": [f"{path}: {1 + count} times" for path, count in Counter(duplicates.repeated).items()],
        "broken": [f"{path}: {report.reason}" for path, report in reports.items() if report.is_broken],
        "most": MOST_LISTED,
    }
    sections = (
        ("remarks", "To look at"),
        ("rows", "Files"),
        ("properties", "Lengths, sizes, rates"),
        ("class_sizes", "Classes"),
        ("classes", "Frames"),
        ("leaks", "In other lists, too"),
        ("same_content", "The same content"),
        ("repeated", "Listed more than once"),
        ("broken", "Broken"),
    )
    return content | {"sections": [{"id": id, "title": title} for id, title in sections if content[id]]}


def remarks(index: VideoIndex, reports: Mapping[str, ScanReport], duplicates: Duplicates) -> list[str]:
    """What may spoil a training or its test, each in a sentence; the worst first."""
    broken = sum(report.is_broken for report in reports.values())
    copies = sum(len(group) - 1 for group in duplicates.same_content)
    others = Counter(leak.other_list for leak in duplicates.leaks)
    sizes = {bar.name: bar.count for bar in class_sizes(index)}
    few = [name for name, count in sizes.items() if count < FEW]
    told = [
        *(
            f"{count} videos are in {other}, too: what is tested on them was seen in training"
            for other, count in others.items()
        ),
        *(f"{path} is listed under several labels" for path in list(index.contradictions)[:MOST_LISTED]),
        *([f"{broken} of {len(reports)} videos are broken"] if broken else []),
        *([f"{copies} videos are copies of others"] if copies else []),
        *([f"{len(duplicates.repeated)} lines repeat an earlier one"] if duplicates.repeated else []),
        *([f"no video has the classes {', '.join(index.empty_classes)}"] if index.empty_classes else []),
        *([f"classes of fewer than {FEW} videos: {', '.join(few)}"] if few else []),
    ]
    if sizes and max(sizes.values()) >= 10 * min(sizes.values()):
        told.append(
            f"the largest class has {max(sizes.values()) / min(sizes.values()):.0f} times the videos of the smallest"
        )
    return told


def class_sizes(index: VideoIndex) -> list[Bar]:
    """Classes by size, the largest first; none of a list without labels."""
    return _bars(Counter(map(index.name_of, index.labels or ())).most_common())


def length_bars(seconds: Sequence[float]) -> list[Bar]:
    """How many videos are how long, in `BINS` steps of the same width from the shortest to the longest."""
    counts, edges = np.histogram(seconds, bins=BINS if max(seconds) > min(seconds) else 1)
    if len(counts) == 1:
        return _bars([(f"{seconds[0]:.3g} s", len(seconds))])
    names = (f"{low:.3g} to {high:.3g} s" for low, high in pairwise(edges))
    return _bars(list(zip(names, counts.tolist(), strict=True)))


def _properties(reports: Sequence[ScanReport]) -> list[tuple[str, list[Bar]]]:
    """Title and bars of each property of the videos that decode."""
    seconds = [report.frames / report.rate for report in reports if report.rate]
    tallies = {
        "Frames per second": (f"{report.rate:.4g}" if report.rate else "unknown" for report in reports),
        "Size, pixels": (f"{report.width}×{report.height}" for report in reports),
        "Codec": (report.codec or report.decoder for report in reports),
        "Colour": (report.color or "unknown" for report in reports),
    }
    if not reports:
        return []
    lengths = [("Length", length_bars(seconds))] if seconds else []
    return [*lengths, *((title, _tally(values)) for title, values in tallies.items())]


def _tally(values: Iterable[str]) -> list[Bar]:
    """The most frequent values, and all others in one."""
    counts = Counter(values).most_common()
    others = sum(count for _, count in counts[MOST_VALUES:])
    return _bars([*counts[:MOST_VALUES], *([("others", others)] if others else [])])


def _bars(counts: Sequence[tuple[str, int]]) -> list[Bar]:
    longest = max((count for _, count in counts), default=1)
    return [Bar(name, count, 100 * count / longest) for name, count in counts]


def _shown_classes(index: VideoIndex, reports: Mapping[str, ScanReport], decoding: Decoding) -> list[ShownClass]:
    """The largest classes with frames of some of their videos; without labels, all videos as one without a name."""
    videos: dict[str, list[str]] = {}
    for position, path in enumerate(index.paths):
        if not reports[path].is_broken:
            videos.setdefault("" if index.labels is None else index.name_of(index.labels[position]), []).append(path)
    shown = sorted(videos.items(), key=lambda item: -len(item[1]))[:MOST_CLASSES]
    most = FRAMES_OF_UNLABELLED if index.labels is None else FRAMES_OF_CLASS
    return [ShownClass(name, len(paths), _frames(paths, most, decoding)) for name, paths in shown]


def _frames(paths: Sequence[str], most: int, decoding: Decoding) -> list[tuple[str | None, str]]:
    paths = list(dict.fromkeys(paths))
    picked = sorted(set(np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int).tolist()))
    return [(middle_frame(paths[position], decoding), paths[position]) for position in picked]
