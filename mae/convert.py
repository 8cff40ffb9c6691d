"""`python -m mae.convert IN OUT to=FORMAT`: any checkpoint in any other format.

source      a checkpoint of any format, or a run directory; also without `source=` as first argument
output      file or folder to write, not there yet; also without `output=` as second argument
to          huggingface, pytorch, keras_h5, keras, savedmodel or onnx; `--to FORMAT` is the same
video_size  for savedmodel and onnx: [height,width] of frames that are resized and cut inside (default: the model's own)
describe    true: say format, kind, sizes and sha256 of the source, and write nothing
classes     file of class names, one a line or {number: name} (default: the source's own)

What the source does not tell is given as well: sizes of the model, as num_heads=6, and how it was trained:
frame_stride, sampler, target, target_scale, target_pixels, loss_weight, masking, mask_ratio, mask_motion,
mask_motion_share, licence, channels, resize.

Every tensor of the source must have a place and every weight of the model a tensor, else nothing is written.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from mae.cli.arguments import command_config
from mae.cli.backend import load_backend
from mae.cli.command import run_command
from mae.cli.typed import PATH
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
    "channels": str,
    "resize": str,
}
SIZES = get_type_hints(Architecture)
# Declared as `Any`: a type checker knows no class that is made when the module is loaded.
_Told: Any = make_dataclass(
    "_Told", [(name, kind | None, None) for name, kind in (SIZES | TRAINING).items()], frozen=True, kw_only=True
)


@dataclass(frozen=True, kw_only=True)
class ConvertConfig(_Told):
    """The arguments of the command, besides what the source may not tell: sizes, and how it was trained."""

    source: str = field(metadata=PATH)
    output: str | None = field(default=None, metadata=PATH)
    to: str | None = None
    describe: bool = False
    classes: str | None = field(default=None, metadata=PATH)
    video_size: list[int] | None = None

    def __post_init__(self) -> None:
        if not self.describe and (self.output is None or self.to is None):
            raise ConfigError("give OUT and to=FORMAT, or describe=true; --help says more")
        if self.describe and (self.output or self.to):
            raise ConfigError("describe=true writes nothing: leave out OUT and to=")

    def given(self, names: Sequence[str]) -> dict[str, Any]:
        """What is given of these, of sizes or of how it was trained."""
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def parse(arguments: Sequence[str]) -> ConvertConfig:
    """The arguments of the command; the first two may be input and output.

    Raises:
        ConfigError: wrong ones.
    """
    return command_config(ConvertConfig, list(_with_keys(arguments)), in_front=("source", "output"))


def _with_keys(arguments: Sequence[str]) -> Iterator[str]:
    """The arguments, `--to FORMAT` as `to=FORMAT`."""
    words = iter(arguments)
    for word in words:
        if word == "--to":
            yield f"to={next(words, '')}"
        else:
            yield f"to={word.removeprefix('--to=')}" if word.startswith("--to=") else word


def convert(config: ConvertConfig) -> str:
    """Writes the output; returns what to print.

    Raises:
        ConfigError: something in the source has no place, or something that the format needs is not in it.
    """
    from mae.checkpoints.load import load_weights
    from mae.checkpoints.read import read_weights
    from mae.checkpoints.save import ENCODER_FORMATS, FORMATS, save_checkpoint

    assert config.output is not None
    assert config.to is not None
    check_choice("format to=", config.to, FORMATS)
    labels, output = read_labels(Path(config.classes)) if config.classes else None, Path(config.output)
    if output.exists():
        raise ConfigError(f"{output} exists already: give another name, or remove it")
    weights = read_weights(Path(config.source))
    if weights.kind == "encoder" and config.to not in ENCODER_FORMATS:
        raise ConfigError(
            f"{weights.source} ({weights.format}) is an encoder alone, neither decoder nor head to write: give one of "
            f"to={', '.join(ENCODER_FORMATS)}"
        )
    model = build_model(weights, config.given([*SIZES]))
    report = load_weights(weights, model)
    training = replace(report.training, **config.given([*TRAINING]))
    save_checkpoint(model, output, config.to, labels or report.id2label, training, config.video_size)
    return f"{report.table()}\nwritten: {output} ({config.to})"


def build_model(weights: Any, sizes: dict[str, Any]) -> Any:
    """An empty model for `weights`, which says its sizes but for those in `sizes`.

    Raises:
        ConfigError: sizes that nothing tells.
    """
    from mae.models.classifier import Classifier
    from mae.models.pretrainer import Pretrainer
    from mae.models.video_encoder import VideoEncoder

    architecture = weights.architecture(**sizes)
    if weights.kind == "pretrainer":
        model: Any = Pretrainer(architecture, name="pretrainer")
    elif weights.kind == "encoder":
        model = VideoEncoder(architecture, "encoder/norm/gamma" in weights.arrays, name="video_encoder")
    else:
        classes = weights.arrays["head/kernel"].shape[-1]
        model = Classifier(architecture, classes, pooling=weights.pooling, task=weights.task, name="classifier")
    model.build_whole()
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
        rows.append(("task", weights.task))
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


def run(arguments: Sequence[str]) -> str:
    """Does what the arguments say; returns what to print."""
    config = parse(arguments)
    load_backend()  # only now: a mistake in the arguments is told before that
    return describe(Path(config.source)) if config.describe else convert(config)


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    print(run(arguments))


if __name__ == "__main__":
    run_command(main, __doc__)
