"""`python -m mae.convert IN OUT --to FORMAT`: any checkpoint in any other format.

Every tensor of IN must have a place and every weight of the model a tensor, else nothing is written.
`python -m mae.convert IN --describe` says what a file is.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from mae.cli.arguments import Parser
from mae.cli.exit_status import exit_statuses
from mae.cli.quiet import import_tensorflow, quiet_libraries
from mae.data.lists.class_names import read_labels
from mae.errors import ConfigError, check_choice
from mae.files import checksums
from mae.monitoring.console import format_table
from mae.presets import Architecture


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of the command.

    Raises:
        ConfigError: wrong ones.
    """
    parser = Parser(prog="python -m mae.convert", description="Any checkpoint in any other format.")
    parser.add_argument("source", metavar="IN", type=Path, help="checkpoint of any format, or a run directory")
    parser.add_argument("output", metavar="OUT", type=Path, nargs="?", help="file or folder to write, not there yet")
    parser.add_argument("--to", metavar="FORMAT", help="huggingface, pytorch, keras_h5, keras or savedmodel")
    parser.add_argument("--describe", action="store_true", help="say format, kind, sizes and sha256 of IN")
    parser.add_argument("--label-names", metavar="FILE", type=Path, help="class names, one a line or {number: name}")
    parser.add_argument(
        "--set", metavar="SIZE=VALUE", nargs="+", default=[], help="sizes IN does not tell, as num_heads=6"
    )
    given = parser.parse_args(arguments)
    if not given.describe and (given.output is None or given.to is None):
        raise ConfigError("give OUT and --to FORMAT, or --describe; see python -m mae.convert --help")
    if given.describe and (given.output or given.to):
        raise ConfigError("--describe writes nothing: leave out OUT and --to")
    given.set = sizes_given(given.set)
    return given


def sizes_given(pairs: Sequence[str]) -> dict[str, Any]:
    """`["num_heads=6"]` as sizes of `Architecture`."""
    types = {field.name: field.type for field in fields(Architecture)}
    sizes: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        check_choice("size", name, types)
        try:
            sizes[name] = types[name](value)  # type: ignore[operator]
        except ValueError as error:
            raise ConfigError(f"--set {pair}: {error}") from error
    return sizes


def convert(source: Path, output: Path, to: str, labels: dict[int, str] | None, sizes: dict[str, Any]) -> str:
    """Writes `output`; returns what to print.

    Raises:
        ConfigError: something in `source` has no place, or something that `to` needs is not in it.
    """
    from mae.checkpoints.load import load_weights
    from mae.checkpoints.read import read_weights
    from mae.checkpoints.save import FORMATS, KEEP_LABELS, save_checkpoint

    check_choice("format --to", to, FORMATS)
    if labels and to not in KEEP_LABELS:
        raise ConfigError(f"{to} keeps no label names; {' and '.join(KEEP_LABELS)} do")
    if output.exists():
        raise ConfigError(f"{output} exists already: give another name, or remove it")
    weights = read_weights(source)
    model = build_model(weights, sizes)
    report = load_weights(weights, model)
    labels = labels or report.id2label
    save_checkpoint(model, output, to, labels if to in KEEP_LABELS else None)
    lost = f"; {to} keeps no label names" if report.id2label and to not in KEEP_LABELS else ""
    return f"{report.table()}\nwritten: {output} ({to}){lost}"


def build_model(weights: Any, sizes: dict[str, Any]) -> Any:
    """An empty model for `weights`, which says its sizes but for those in `sizes`.

    Raises:
        ConfigError: sizes that nothing tells, or an encoder alone.
    """
    from mae.models.classifier import Classifier
    from mae.models.pretrainer import Pretrainer

    if weights.kind == "encoder":
        raise ConfigError(f"{weights.source} ({weights.format}) is an encoder alone: neither decoder nor head to write")
    architecture = weights.architecture(**sizes)
    if weights.kind == "pretrainer":
        model: Any = Pretrainer(architecture, name="pretrainer")
    else:
        classes = weights.arrays["head/kernel"].shape[-1]
        model = Classifier(architecture, classes, pooling=weights.pooling, name="classifier")
    model.build()
    return model


def describe(source: Path) -> str:
    """Format, kind, sizes and checksum of a checkpoint, as a table."""
    from mae.checkpoints.read import read_weights

    weights = read_weights(source)
    values = sum(array.size for array in weights.arrays.values())
    rows = [
        ("file", str(source)),
        ("format", weights.format),
        ("kind", weights.kind),
        ("weights", f"{len(weights.arrays)} tensors, {values / 1e6:.1f} M values"),
        *((name, _text(value)) for name, value in weights.sizes().items()),
    ]
    if weights.kind == "classifier":
        classes = weights.arrays["head/kernel"].shape[-1]
        rows.append(("classes", f"{classes}, {'named' if weights.id2label else 'without names'}, {weights.pooling}"))
    if weights.unknown:
        rows.append(("no place for", "\n".join(weights.unknown)))
    if weights.set_aside:
        rows.append(("no weights", f"{len(weights.set_aside)} entries"))
    return format_table([*rows, *[("sha256", line) for line in checksums(weights.source)]], "checkpoint")


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main(arguments: Sequence[str]) -> str:
    """Runs the command; returns what to print."""
    given = parse(arguments)
    import_tensorflow()  # only now: a mistake in the arguments is told before that
    if given.describe:
        return describe(given.source)
    labels = read_labels(given.label_names) if given.label_names else None
    return convert(given.source, given.output, given.to, labels, given.set)


if __name__ == "__main__":
    quiet_libraries()
    with exit_statuses():
        print(main(sys.argv[1:]))
