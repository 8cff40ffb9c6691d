"""Which classes a test took for each other, from its predictions."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PAIRS, VIDEOS = 6, 6


@dataclass(frozen=True)
class Pair:
    """Videos of one class that were taken for another."""

    label: str
    predicted: str
    count: int
    of: int  # evaluated videos of the class
    videos: Sequence[str]  # some of them


def worst_pairs(predictions: Sequence[Mapping[str, str]]) -> list[Pair]:
    """The pairs most often confused, most often first; `predictions`: the lines of `predictions.csv`."""
    done = [row for row in predictions if row["status"] == "ok"]
    members = Counter(row["label"] for row in done)
    wrong = defaultdict(list)
    for row in done:
        if row["label"] != row["predicted"]:
            wrong[row["label"], row["predicted"]].append(row["video"])
    ordered = sorted(wrong.items(), key=lambda pair: -len(pair[1]))[:PAIRS]
    return [Pair(*names, len(videos), members[names[0]], videos[:VIDEOS]) for names, videos in ordered]
