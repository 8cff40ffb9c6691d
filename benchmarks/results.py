"""Result files of the benchmarks, and the tables in the documents that show them: `python benchmarks/results.py`.

What a benchmark measured is in `benchmarks/results/`, with the command, machine and versions; `"source"` is
`transcribed` where the figures were taken over from a document, rounded as they stood there. A table stands between
`<!-- figures: KIND FILE … -->` and `<!-- /figures -->`, and is written anew from its files by this command; `--check`
says which one differs, with exit status 1. A figure in a sentence or a table of its own stands before
`<!-- figure: FORMAT FILE KEY:KEY:… -->`, the format one of Python's (`.1f`, or `.0%` without its sign); `… over KEY:…`
is the ratio to another figure of the file.
"""

import argparse
import json
import os
import platform
import re
import shlex
import statistics
import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMED = {
    **{"tensorflow": "TensorFlow", "jax": "JAX", "keras": "Keras", "torch": "PyTorch", "transformers": "transformers"},
    **{"numpy": "NumPy", "av": "PyAV", "opencv-python-headless": "OpenCV", "pyarrow": "pyarrow"},
}
_MARKED = re.compile(r"(<!-- figures: ([^>]+) -->\n).*?(<!-- /figures -->)", re.DOTALL)

_IN_PROSE = re.compile(r"[\d.]+(<!-- figure: (\S+) (\S+) ([^>]+) -->)")

Result = dict[str, Any]


def write_result(path: Path, words: list[str], figures: Result, **more: Any) -> None:
    """Writes what a benchmark measured, and what it was measured on.

    Args:
        path: the file.
        words: the benchmark's arguments.
        figures: by row and column of the table that it prints.
        more: what else there is to know of them.
    """
    result = {
        "source": "measured",
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words]),
        "machine": _machine(),
        "versions": {"python": platform.python_version(), **_versions()},
        **more,
        "figures": figures,
    }
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _machine() -> str:
    """Cores that this process may use, memory, and the processor's name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    told = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = f" ({told[1]})" if told else ""
    return f"{len(os.sched_getaffinity(0))}-core {platform.machine()} machine{name}, {memory:.0f} GB of memory"


def _versions() -> dict[str, str]:
    found = {}
    for name in NAMED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _rows(*rows: list[str]) -> str:
    """Markdown, the first row of which is the head."""
    head, *others = (f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *others])


def _machine_line(result: Result) -> str:
    """Machine and versions, in a sentence."""
    named = {"python": "Python", **NAMED}
    parts = [result["machine"], *(f"{named[name]} {told}" for name, told in result["versions"].items())]
    return textwrap.fill(f"{', '.join(parts)}.", 128)


def _printed(result: Result) -> str:
    """Lines of a command's output."""
    return "\n".join(["```", *result["printed"], "```"])


def _checkpoints(result: Result) -> str:
    formats = {
        **{"keras_h5": "Keras 2 h5", "pytorch": "PyTorch `.pth`", "huggingface": "Hugging Face folder"},
        **{"savedmodel": "SavedModel", "keras": "Keras 3 `.keras`", "run": "a run's own"},
    }
    rows = []
    for name, f in result["figures"].items():
        sizes = (f"{f['file GB']:.2f} GB", f"{f['read s']:.2f} s", f"{f['load s']:.2f} s")
        rows.append([formats[name], *sizes, f"{f['load ÷ read']:.2f}", f"{f['peak ÷ (file + model)']:.2f}"])
    return _rows(["format", "file", "read", "load", "load ÷ read", "peak ÷ (file + model)"], *rows)


_READERS = {
    "packed (ours)": "packed (`mae.data.pack`)",
    "video (ours)": "video",
    "… by OpenCV": "the same by OpenCV (`data.decoder=opencv`)",
    "scanned (ours)": "video that `mae.data.scan` has seen",
    "×4 a visit (ours)": "video, four clips a visit (`data.clips_per_video=4`)",
    "×4 … by OpenCV": "the same by OpenCV",
    "decord": "decord {decord}",
    "PyAV": "PyAV {av}, frames by `to_ndarray`",
}


def _clips(result: Result) -> str:
    def of_a_decord(name: str, ratio: float) -> str:
        return "1" if name == "decord" else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"

    versions = {"decord": "", **result["versions"], **result.get("others", {})}
    rows = [
        [_READERS[name].format(**versions), f"{f['CPU ms']:.1f}", of_a_decord(name, f["× decord"])]
        for name, f in result["figures"]["clips"].items()
    ]
    return _rows(["", "CPU ms a clip", "× decord"], *rows)


def _pipeline(result: Result) -> str:
    rows = [
        [name, f"{f['1 core']:.1f}", f"{f['2 cores']:.1f}", f"{f['ratio']:.2f}"]
        for name, f in result["figures"]["pipeline"].items()
    ]
    return _rows(["clips/s", "one core", "two cores", "ratio"], *rows)


def _packed_shards(result: Result) -> str:
    names = {"zip each": "a zip each", "shards": "shards", "ArrayRecord": "ArrayRecord"}
    rows = []
    for videos, kinds in result["figures"].items():
        for kind, f in kinds.items():
            sizes = (f"{f['files']:,}", f"{f['GB']:.2f} GB", f"{f['GB on disk']:.2f} GB")
            speed = (f"{f['start-up s']:.2g} s", f"{f['clips/s']:.0f}", f"{f['MB a clip']:.2g} MB")
            rows.append([f"{videos}, {names[kind]}", *sizes, *speed])
    return _rows(["", "files", "bytes", "on disk", "start-up", "clips/s", "read"], *rows)


def _large_lists(result: Result) -> str:
    rows = []
    for name, f in result["figures"].items():
        size = (f"{f['rows'] / 1e6:g} M", f"{f['file MB']:.0f} MB")
        cpu = (f"{f['list CPU s']:.1f} s", f"{f['all CPU s']:.1f} s")
        rows.append([name, *size, *cpu, f"{f['for list MB']:.0f} MB", f"{1e6 * f['for list MB'] / f['rows']:.0f}"])
    return _rows(["list", "rows", "file", "read", "read and told", "memory", "bytes a row"], *rows)


def _beside_peer(*results: Result) -> str:
    rows = []
    for result in results:
        dual = result["options"]["decoder_mask_ratio"]
        name = result["options"]["precision"] + (f", `decoder_mask_ratio={dual:g}`" if dual else "")
        ours, peer, ratios = (result["figures"][key] for key in ("tensorflow", "peer", "ratios"))
        each = [
            cell
            for f in (ours, peer)
            for cell in (f"{f['clips/s']:.2f} clips/s", f"{100 * f['of matmul']:.0f} %", f"{f['peak GB']:.2f} GB")
        ]
        than = ratios["tensorflow"]
        rows.append([name, *each, f"{than['speed']:.2f} ×", f"{than['memory']:.2f} ×"])
    head = ["", "ours", "of matmul", "memory", "peer", "of matmul", "memory", "speed", "memory"]
    return _rows(head, *rows)


def _engines(*results: Result) -> str:
    rows, names = [], ("tensorflow", "jax")
    for result in results:
        figures, ratios = result["figures"], result["figures"]["ratios"]
        is_first = not result["options"]["decoder_mask_ratio"]
        step = "step" if is_first else f"with `decoder_mask_ratio={result['options']['decoder_mask_ratio']:g}`, step"
        speeds = [f"{figures[name]['median s']:.2f} s, {ratios[name]['speed']:.2f} ×" for name in names]
        if is_first:
            speeds[0] += " the peer's speed"
        memory = [f"{figures[name]['peak GB']:.2f} GB, {ratios[name]['memory']:.2f} ×" for name in names]
        rows.append([step, *speeds, f"{figures['peer']['median s']:.2f} s"])
        rows.append(["memory", *memory, f"{figures['peer']['peak GB']:.2f} GB"])
    first = results[0]
    head = f"{first['options']['precision']}, medians of {first['options']['rounds']} rounds"
    return _rows([head, "TensorFlow", "JAX", "peer"], *rows)


def _memory(*results: Result) -> str:
    """Of the first, what the others take."""
    rows = []
    for result in results:
        peak, options = result["figures"]["tensorflow"]["peak GB"], result["options"]
        share = peak / results[0]["figures"]["tensorflow"]["peak GB"]
        changed = [f"`{name}={value}`" for name, value in options.items() if name in _SAVING and value != _SAVING[name]]
        again = result["one step only, three times"]
        rows.append([", ".join(changed) or "none of them", f"{peak:.2f} GB", f"{share:.2g}", f"{again} GB"])
    return _rows(["", "memory", "share", "one step only, three times"], *rows)


_SAVING = {"remat": "none", "accumulate": 1, "decoder_mask_ratio": 0}


def _representation(result: Result, dataset: str) -> str:
    """A table of benchmarks/representation.py, as its `--show` prints it."""
    from representation import table  # beside this file

    return table(dataset, result)


def _pre_trained_or_not(*results: Result) -> str:
    """A line for each data set, of means over the seeds."""
    columns = {"attentive": "attentive probe", "linear": "linear", "knn": "k-NN", "whole": "whole model"}
    rows = []
    for dataset, made in (pair for result in results for pair in result["datasets"].items()):
        pairs = [[statistics.mean(made[row][key]) for row in ("pre-trained", "not pre-trained")] for key in columns]
        rows.append([f"`{dataset}`", *(f"{with_it:.1f} / {without:.1f}" for with_it, without in pairs)])
    return _rows(["top-1 %, pre-trained / not", *columns.values()], *rows)


def _tried(result: Result, name: str) -> str:
    """One of several tables of a file: numbers, or a mean and its deviation as text."""
    told = result["figures"][name]
    columns = [*next(iter(told["rows"].values()))]
    rows = [
        [row, *(f"{value:.1f}" if isinstance(value, float) else value for value in cells.values())]
        for row, cells in told["rows"].items()
    ]
    return _rows([told["heading"], *columns], *rows)


KINDS: dict[str, Callable[..., str]] = {
    "machine": _machine_line,
    "printed": _printed,
    "checkpoints": _checkpoints,
    "clips": _clips,
    "pipeline": _pipeline,
    "packed-shards": _packed_shards,
    "large-lists": _large_lists,
    "beside-peer": _beside_peer,
    "engines": _engines,
    "memory": _memory,
    "representation": _representation,
    "pre-trained-or-not": _pre_trained_or_not,
    "tried": _tried,
}


def rendered(words: str) -> str:
    """What stands between the marks that say `KIND FILE …`; what is no file is told to the kind as it is."""
    kind, *others = words.split()
    given = [
        json.loads((RESULTS / word).read_text(encoding="utf-8")) if word.endswith(".json") else word for word in others
    ]
    return KINDS[kind](*given)


def figure(format_spec: str, name: str, keys: str) -> str:
    """One figure of a result file, or the ratio of two; of several, as of seeds, their mean."""
    values = []
    for path in keys.split(" over "):
        value = json.loads((RESULTS / name).read_text(encoding="utf-8"))
        for key in path.split(":"):
            value = value[int(key) if isinstance(value, list) else key]
        values.append(statistics.mean(value) if isinstance(value, list) else value)
    return format(values[0] if len(values) == 1 else values[0] / values[1], format_spec).removesuffix("%")


def with_figures(text: str) -> str:
    """A document with the figures of the result files."""
    text = _IN_PROSE.sub(lambda found: figure(*found.groups()[1:]) + found[1], text)
    return _MARKED.sub(lambda found: f"{found[1]}\n{rendered(found[2])}\n\n{found[3]}", text)


def main(is_check: bool) -> int:
    """Writes the documents, or says which differ; returns the exit status."""
    differing = [path for path in DOCUMENTS if with_figures(path.read_text()) != path.read_text()]
    for path in differing:
        print(f"{path.relative_to(ROOT)}: figures are {'not those' if is_check else 'now those'} of the result files")
        if not is_check:
            path.write_text(with_figures(path.read_text()))
    return 1 if is_check and differing else 0


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Writes the tables of measured figures in the documents.")
    parser.add_argument("--check", action="store_true", help="write nothing, end with 1 where a table differs")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(parse(sys.argv[1:]).check))
