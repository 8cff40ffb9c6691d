"""`python -m mae.convert IN OUT --to FORMAT`: any checkpoint in any other format.

Every tensor of IN must have a place and every weight of the model a tensor, else nothing is written.
`python -m mae.convert IN --describe` says what a file is.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from mae.cli.arguments import Parser
from mae.cli.backend import load_backend
from mae.cli.command import run_command
from mae.cli.quoting import unquoted
from mae.data.lists.class_names import read_labels
from mae.errors import ConfigError, check_choice
from mae.files import checksums
from mae.monitoring.console import format_table
from mae.presets import Architecture

# How weights were trained: fields of `mae.checkpoints.metadata.Training`, which is imported later.
TRAINING = {
    "frame_stride": int,
    "sampler": str,
    "target": str,
    "target_scale": str,
    "target_pixels": float,
    "loss_weight": str,
    "masking": str,
    "mask_ratio": float,
    "mask_motion": str,
    "mask_motion_share": float,
    "licence": str,
}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of the command.

    Raises:
        ConfigError: wrong ones.
    """
    parser = Parser(prog="python -m mae.convert", description="Any checkpoint in any other format.")
    parser.add_argument("source", metavar="IN", type=_path, help="checkpoint of any format, or a run directory")
    parser.add_argument("output", metavar="OUT", type=_path, nargs="?", help="file or folder to write, not there yet")
    parser.add_argument("--to", metavar="FORMAT", help="huggingface, pytorch, keras_h5, keras or savedmodel")
    parser.add_argument("--describe", action="store_true", help="say format, kind, sizes and sha256 of IN")
    parser.add_argument("--label-names", metavar="FILE", type=_path, help="class names, one a line or {number: name}")
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        nargs="+",
        default=[],
        help="what IN does not tell: sizes, as num_heads=6, and how it was trained, as frame_stride=2 licence=MIT",
    )
    given = parser.parse_args(arguments)
    if not given.describe and (given.output is None or given.to is None):
        raise ConfigError("give OUT and --to FORMAT, or --describe; see python -m mae.convert --help")
    if given.describe and (given.output or given.to):
        raise ConfigError("--describe writes nothing: leave out OUT and --to")
    given.set = values_given(given.set)
    return given


def _path(text: str) -> Path:
    return Path(os.path.expanduser(unquoted(text)))


def values_given(pairs: Sequence[str]) -> dict[str, Any]:
    """`["num_heads=6", "licence=MIT"]` as values of the fields of `Architecture` and of `TRAINING`."""
    types = {**get_type_hints(Architecture), **TRAINING}
    values: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        check_choice("size", name, types)
        # Of `float | None` the first; the word for a bool is none of bool's own.
        of = (get_args(types[name]) or (types[name],))[0]
        try:
            values[name] = {"true": True, "false": False}[value.lower()] if of is bool else of(unquoted(value))
        except (ValueError, KeyError) as error:
            raise ConfigError(f"--set {pair}: not a value of type {of.__name__}") from error
    return values


def convert(source: Path, output: Path, to: str, labels: dict[int, str] | None, values: dict[str, Any]) -> str:
    """Writes `output`; returns what to print.

    Args:
        values: of fields of `Architecture` and `Training`, which win over those that `source` tells.

    Raises:
        ConfigError: something in `source` has no place, or something that `to` needs is not in it.
    """
    from mae.checkpoints.load import load_weights
    from mae.checkpoints.read import read_weights
    from mae.checkpoints.save import FORMATS, save_checkpoint

    check_choice("format --to", to, FORMATS)
    if output.exists():
        raise ConfigError(f"{output} exists already: give another name, or remove it")
    weights = read_weights(source)
    trained = {name: value for name, value in values.items() if name in TRAINING}
    model = build_model(weights, {name: value for name, value in values.items() if name not in TRAINING})
    report = load_weights(weights, model)
    save_checkpoint(model, output, to, labels or report.id2label, replace(report.training, **trained))
    return f"{report.table()}\nwritten: {output} ({to})"


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
        *((name, _text(value, name in weights.assumed)) for name, value in weights.sizes().items()),
        *_training_rows(weights),
    ]
    if weights.kind == "classifier":
        classes = weights.arrays["head/kernel"].shape[-1]
        rows.append(("classes", f"{classes}, {'named' if weights.id2label else 'without names'}, {weights.pooling}"))
    if weights.unknown:
        rows.append(("no place for", "\n".join(weights.unknown)))
    if weights.set_aside:
        rows.append(("no weights", f"{len(weights.set_aside)} entries"))
    return format_table([*rows, *[("sha256", line) for line in checksums(weights.source)]], "checkpoint")


def _training_rows(weights: Any) -> list[tuple[str, str]]:
    """How the weights were trained: as the file tells, or what the commands that use it assume."""
    from mae.checkpoints.metadata import PRETRAINED

    told, known = weights.training.told, weights.training.completed().told
    of_kind = known if weights.kind == "pretrainer" else {name: known[name] for name in known if name not in PRETRAINED}
    return [(name, _text(value, name not in told)) for name, value in of_kind.items()]


def _text(value: Any, assumed: bool) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{text} (assumed: the file does not tell)" if assumed else text


def main(arguments: Sequence[str]) -> str:
    """Runs the command; returns what to print."""
    given = parse(arguments)
    load_backend()  # only now: a mistake in the arguments is told before that
    if given.describe:
        return describe(given.source)
    labels = read_labels(given.label_names) if given.label_names else None
    return convert(given.source, given.output, given.to, labels, given.set)


if __name__ == "__main__":
    run_command(lambda arguments: print(main(arguments)))
