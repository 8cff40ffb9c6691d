"""How fast long lists are read: `python benchmarks/large_lists.py [--rows 10000000] [--json FILE]`.

A list of paths and 700 classes is written three times, in a temporary folder: as Parquet, as csv, and as a text of
`path label` lines; and a shorter one with a comment in it, which is read line by line. Each is read in a process of its
own, from nothing to what a run prints of its videos and the order of its first epoch. The videos themselves are not
there, so none is looked for. Seconds are by the clock, and of the cores (CPU), which other programs do not lengthen.
Memory is the peak of that process, and the part beyond what imports take.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from results import write_result

CLASSES = 700
_AT_ONCE = 1_000_000  # rows that are made together


def rows(count: int) -> Iterator[tuple[list[str], list[int]]]:
    """Paths and labels, some at a time."""
    for first in range(0, count, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, count))
        yield [f"videos/{n // 1000:05d}/clip_{n:08d}.mp4" for n in numbers], [n * 7919 % CLASSES for n in numbers]


def write_text(path: Path, count: int, head: str, mark: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(head)
        for paths, labels in rows(count):
            file.writelines(f"{name}{mark}{label}\n" for name, label in zip(paths, labels, strict=True))


def write_parquet(path: Path, count: int) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema({"path": pa.string(), "label": pa.int32()})
    with parquet.ParquetWriter(path, schema) as writer:
        for paths, labels in rows(count):
            writer.write_table(pa.table({"path": paths, "label": labels}, schema))


def read(path: str) -> dict[str, float]:
    """Seconds and bytes of this process."""
    from mae.data.lists.text_list import NOTHING, index_csv
    from mae.data.pipeline import Schedule

    before = memory("VmRSS")
    start, start_cpu = time.perf_counter(), time.process_time()
    index = index_csv(path, None, wanted=NOTHING)
    listed_cpu = time.process_time()
    told = index.rows()
    schedule = Schedule(0, len(index.paths), 64)
    visited = [index.paths[schedule.visit(0, position)[1]] for position in range(64)]
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    assert told
    assert len(set(visited)) == 64
    peak = memory("VmHWM")
    return {
        "rows": len(index.paths),
        "file MB": Path(path).stat().st_size / 1e6,
        "list CPU s": listed_cpu - start_cpu,
        "all CPU s": cpu,
        "all s": seconds,
        "peak MB": peak / 1e6,
        "for list MB": (peak - before) / 1e6,
    }


def memory(which: str) -> int:
    """Bytes: VmRSS now, VmHWM at the most. (`ru_maxrss` would count the parent process, too.)"""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(which)]
    return 1024 * int(line.split()[1])


def main(count: int, line_count: int) -> dict[str, dict[str, float]]:
    """Prints a row for each list, and returns the figures by the names of the columns."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("Parquet", "csv", "text", "line by line"):
            path = Path(folder) / f"list{'.parquet' if name == 'Parquet' else '.csv'}"
            match name:
                case "Parquet":
                    write_parquet(path, count)
                case "csv":
                    write_text(path, count, "path,label\n", ",")
                case "text":
                    write_text(path, count, "", " ")
                case _:
                    write_text(path, line_count, "path,label\n# a comment, which no table has\n", ",")
            figures[name] = in_process(path)
            path.unlink()
            print(name, {column: round(value, 1) for column, value in figures[name].items()}, flush=True)
    return figures


def in_process(path: Path) -> dict[str, float]:
    made = subprocess.run([sys.executable, __file__, "--child", str(path)], capture_output=True, text=True)
    if made.returncode:
        sys.exit(made.stderr)
    return json.loads(made.stdout.splitlines()[-1])


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--line-rows", type=int, default=1_000_000, help="of the list that is read line by line")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    match sys.argv[1:]:
        case ["--child", path]:
            print(json.dumps(read(path)))
        case words:
            given = parse(words)
            measured: dict[str, Any] = main(given.rows, given.line_rows)
            if given.json:
                write_result(given.json, words, measured)
