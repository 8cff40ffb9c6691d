"""What a scan leaves on disk: a line per video, the broken ones, and the list without them."""

import csv
import io
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from mae.data.bad_videos import HEADER
from mae.data.lists.column import mapped
from mae.data.lists.endings import ending
from mae.data.lists.index import VideoIndex, index_csv
from mae.data.lists.places import absolute
from mae.data.lists.tables import PARQUET
from mae.data.lists.text_list import NOTHING, read_lines
from mae.data.lists.write_lists import list_text
from mae.data.videos.scan_report import ScanReport
from mae.errors import ConfigError
from mae.files import read_utf8, replacing

COLUMNS = (
    *("path", "status", "reason", "decoder", "codec", "width", "height", "orientation", "color", "fps"),
    *("variable_rate", "claimed_frames", "frames", "interlaced", "damaged", "lost_packets", "black", "constant"),
    *("repeated", "missing_numbers", "seeks_exactly"),
)


def check_writable(folder: Path, option: str = "output=") -> None:
    """Raises `ConfigError`, naming the option that says where, before hours of decoding, not after."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error.strerror}); {option} names another folder") from error


def write_scan(
    folder: Path,
    name: str,
    source: Path | None,
    index: VideoIndex,
    reports: Mapping[str, ScanReport],
    root: str | None = None,
) -> list[Path]:
    """Writes the files, each at once or not at all; returns their paths.

    Args:
        source: the list that was scanned; None for a folder or a single video.
        index: what was scanned; no clean list is made of a single video.
        reports: of every path of it.
        root: that was given for the list's relative paths, and has to be for the clean one, too; None: its own folder.
    """
    texts = {
        folder / f"{name}_scan.csv": _csv(COLUMNS, (_row(path, report) for path, report in reports.items())),
        folder / f"{name}_quarantine.csv": _csv(HEADER, ((p, r.reason) for p, r in reports.items() if r.is_broken)),
    }
    broken = {path for path, report in reports.items() if report.is_broken}
    if source is not None:
        is_table = ending(source.name) == PARQUET
        keeps_lines = not is_table and (
            root is not None or index_csv(source, folder, wanted=NOTHING).paths == index.paths
        )
        # Elsewhere, relative paths would lead to other files or to none.
        text = _without(source, index, broken, root) if keeps_lines else _listed(index, broken, is_table)
        texts[folder / f"{name}_clean{'.csv' if is_table else source.suffix}"] = text
    elif len(index.paths) > 1:
        texts[folder / f"{name}_clean.csv"] = _listed(index, broken)
    for path, text in texts.items():
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise ConfigError(f"{path} cannot be written ({error.strerror}); output= names another folder") from error
    return list(texts)


def _row(path: str, report: ScanReport) -> tuple[object, ...]:
    r, status = report, "broken" if report.is_broken else "ok"
    described = (r.decoder, r.codec, r.width, r.height, r.orientation, r.color, r.rate, _yes_or_no(r.has_variable_rate))
    counted = (r.claimed, r.frames, r.interlaced, r.damaged, r.lost, r.black, r.constant, r.repeated, r.gaps)
    values = ("" if value is None else value for value in (*described, *counted))
    return (path, status, r.reason, *values, _yes_or_no(r.seeks_exactly))


def _yes_or_no(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


def _csv(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _without(source: Path, index: VideoIndex, broken: set[str], root: str | None) -> str:
    """The text of a list without the lines of broken videos; everything else in it stays as it is."""
    listed = read_lines(source, source.parent if root is None else absolute(root))
    broken_lines = (line for line, path in zip(listed, index.paths, strict=True) if path in broken)
    dropped = {number for line in broken_lines for number in line.numbers}
    texts = read_utf8(source).split("\n")
    return "\n".join(text for number, text in enumerate(texts, start=1) if number not in dropped)


def _listed(index: VideoIndex, broken: set[str], by_name: bool = False) -> str:
    """A list of the videos that are not broken, by absolute paths; with the names of classes where there are some."""
    kept = index.part([position for position, path in enumerate(index.paths) if path not in broken])
    labels = kept.as_written
    if by_name and kept.labels is not None and kept.is_numbered_by_name:
        labels = mapped(kept.name_of, kept.labels)
    return list_text(kept.paths, labels, kept.segments, kept.strides, kept.groups)
