"""What a person should know of a scan, in a few lines."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mae.data.scan.duplicates import Duplicates
from mae.data.videos.scan_report import ScanReport

SHOWN = 6  # values of a kind, and broken videos


def scan_rows(reports: Mapping[str, ScanReport]) -> list[tuple[str, str]]:
    """Name and value of every line of the table."""
    good = [report for report in reports.values() if not report.is_broken]
    broken = {path: report.reason for path, report in reports.items() if report.is_broken}
    differing = sum(report.frames != report.claimed for report in good)
    rows = [("videos", f"{len(reports)}: {len(good)} ok, {len(broken)} broken")]
    if good:
        rows += [
            ("frames", f"{sum(report.frames for report in good)}"),
            ("hours", _hours(good)),
            ("wrong frame count", f"{differing}; the reader goes by what decodes"),
            ("decoder", _tally(report.decoder for report in good)),
            ("codec", _tally(report.codec or report.decoder for report in good)),
            ("size", _tally(f"{report.width}x{report.height}" for report in good)),
            ("orientation", _tally(report.orientation or "unknown" for report in good)),
            ("colour", _tally(report.color or "unknown" for report in good)),
            ("frames per second", _tally("unknown" if r.rate is None else f"{r.rate:.4g}" for r in good)),
            ("variable rate", f"{sum(bool(report.has_variable_rate) for report in good)}"),
            ("interlaced", f"{sum(bool(report.interlaced) for report in good)}; whole frames are read"),
            ("damaged", _damage(good)),
            ("suspicious", _suspicions(good)),
            *_gaps(good),
            ("seeking", f"{sum(report.seeks_exactly for report in good)} exact; others are read from their start"),
        ]
    shown = [f"{path}: {reason}" for path, reason in list(broken.items())[:SHOWN]]
    if len(broken) > SHOWN:
        shown.append(f"… {len(broken) - SHOWN} more")
    return rows + ([("broken", "\n".join(shown))] if shown else [])


def duplicate_rows(duplicates: Duplicates) -> list[tuple[str, str]]:
    """What is the same within the list and in others."""
    copies = sum(len(group) - 1 for group in duplicates.same_content)
    leaks = Counter(leak.other_list for leak in duplicates.leaks)
    return [
        ("duplicates", f"{copies} copies of other videos, {len(duplicates.repeated)} lines that repeat another"),
        *((f"in {name}, too", f"{count} videos") for name, count in leaks.items()),
    ]


def _hours(reports: Iterable[ScanReport]) -> str:
    """What decodes, played at the rates that the files state."""
    seconds = [report.frames / report.rate if report.rate else None for report in reports]
    unknown = seconds.count(None)
    hours = sum(second for second in seconds if second is not None) / 3600
    return f"{hours:.3g}" + (f", without {unknown} of unknown rate" if unknown else "")


def _damage(reports: Iterable[ScanReport]) -> str:
    """Videos of which something is missing, and what."""
    damaged = [report for report in reports if report.is_damaged]
    frames, lost = sum(report.damaged for report in damaged), sum(report.lost for report in damaged)
    return f"{len(damaged)}" + (f", {frames} frames made up in part, {lost} packets lost" if damaged else "")


def _gaps(reports: Iterable[ScanReport]) -> list[tuple[str, str]]:
    """A row where directories of frames leave out numbers."""
    gaps = [report.gaps for report in reports if report.gaps]
    return [("gaps in frames", f"{sum(gaps)} numbers missing in {len(gaps)} folders")] if gaps else []


def _suspicions(reports: Sequence[ScanReport]) -> str:
    """How many frames show nothing, or nothing new, and in how many videos."""
    said = []
    for name in ("black", "constant", "repeated"):
        counts = [count for report in reports if (count := getattr(report, name))]
        said.append(f"{sum(counts)} frames {name}" + (f" in {len(counts)} videos" if counts else ""))
    return ", ".join(said)


def _tally(values: Iterable[str]) -> str:
    """Each value and how often it occurs, the most frequent first."""
    counts = Counter(values).most_common()
    shown = ", ".join(f"{value} ({count})" for value, count in counts[:SHOWN])
    return shown + (f", … {len(counts) - SHOWN} others" if len(counts) > SHOWN else "")
