"""What a run tells the person who started it, besides its progress."""

from collections.abc import Mapping
from pathlib import Path

from mae.cli.commands import to_type
from mae.cli.quoting import hydra_setting, setting
from mae.data.config import CsvDataset, RenderedDataset
from mae.data.lists.index import VideoIndex, build_index
from mae.data.lists.splits import build_splits, how_to_hold_out
from mae.errors import ConfigError, one_line
from mae.evaluation.reconstruction import Part
from mae.options import CLASSIFICATION, MULTILABEL, REGRESSION
from mae.pretraining.config import PretrainConfig
from mae.target_config import Target
from mae.training.clips import pixels_row, shown_picture
from mae.training.next_commands import tell_next
from mae.training.session import Session, optimizer_rows

FINETUNING_BATCH = 16  # videos, of the recipes for own videos and for the demo: a list may hold fewer


def clip_rows(config: PretrainConfig) -> list[tuple[str, str]]:
    """Name and value of what a clip of pre-training is."""
    a = config.model.architecture
    t, h, w = a.grid
    visible, stride = a.num_tokens - config.num_masked, config.dataset.frame_stride
    realised = f"{config.num_masked} masked, {visible} visible (realised {config.num_masked / a.num_tokens:.4f})"
    candidates = config.data.motion_candidates
    chosen = f", the one of {candidates} that moves most" if candidates > 1 else ""
    decoder = []
    if config.decoder_mask_ratio > 0:
        predicted, is_same_for_all = config.num_predicted
        few = "" if is_same_for_all else "at most "
        decoder = [("decoder mask", f"running cells {config.decoder_mask_ratio}: {few}{predicted} tokens predicted")]
    return [
        ("clip", f"{a.num_frames} frames, stride {stride}, {shown_picture(config)}{chosen}"),
        *pixels_row(config),
        ("token grid", f"{t} × {h} × {w} = {a.num_tokens} tokens of {a.patch_dim} values"),
        ("mask", f"{config.masking} {config.mask_ratio}: {realised}{_followed(config)}"),
        *decoder,
    ]


def _followed(config: PretrainConfig) -> str:
    if config.mask_motion == "none":
        return ""
    what = "masked" if config.mask_motion == "hide" else "visible"
    return f"; {100 * config.mask_motion_share:.0f} % of what is {what} is what moves most"


def clip_figures(config: PretrainConfig) -> dict[str, int]:
    """What follows from the settings of a clip, for the monitors."""
    tokens = config.model.architecture.num_tokens
    return {
        "tokens": tokens,
        "masked_tokens": config.num_masked,
        "visible_tokens": tokens - config.num_masked,
        "predicted_tokens": config.num_predicted[0],
    }


def run_rows(config: PretrainConfig, index: VideoIndex, session: Session) -> list[tuple[str, str]]:
    """Name and value of what a run works with, for the table at its start."""
    millions = sum(group.size for group in session.optimizer.groups) / 1e6
    dtype = session.model.dtype_policy.compute_dtype
    rows = [
        *index.rows(),
        ("model", f"{config.model.preset}, {millions:.1f} M parameters, computes in {dtype}"),
        ("target", str(config.predicted)),
        ("devices", session.engine.describe_devices()),
    ]
    return [*rows, *optimizer_rows(config, session)]


def compare_with_trivial(loss: float, trivial: float, target: Target) -> str:
    """The loss on the fixed batch beside that of a predictor that learnt nothing."""
    return (
        f"fixed batch: loss {loss:.4f} (target {target}): {_relation(loss, trivial)} the {trivial:.4f} of the trivial "
        f"predictor, which always says {'that nothing moves' if target.is_difference else 'the average'}"
    )


def compare_by_motion(parts: Mapping[str, Part]) -> str:
    """The loss on the fixed batch over the hidden patches that move beside that over those that do not."""
    told = [
        f"{part.patches} that {'move' if name == 'moving' else 'stand still'}: {part.loss:.4f}, "
        f"{_relation(part.loss, part.trivial)} the trivial predictor's {part.trivial:.4f}"
        for name, part in parts.items()
    ]
    return f"fixed batch: loss over hidden patches: of {'; of '.join(told)}"


def _relation(loss: float, trivial: float) -> str:
    return f"{100 * (1 - loss / trivial):.0f} % under" if loss < trivial else "NOT under"


def print_summary(config: PretrainConfig, run_dir: Path, video: str | None) -> str:
    """Where the run is, and the commands to type next, which it keeps in the run directory as well.

    Args:
        video: one that can be read; None: none is known.
    """
    checkpoint = setting("checkpoint", str(run_dir))
    looks = [] if video is None else [to_type("reconstruct", checkpoint, setting("video", video))]
    lines = [*looks, *_with_labels(config, hydra_setting("init_from", str(run_dir)))]
    return f"run: {run_dir} (pictures in reconstructions/)\n{tell_next(run_dir, lines)}"


def _with_labels(config: PretrainConfig, init_from: str) -> list[str]:
    """Fine-tuning and a probe, which take the data set from the run; or why it is none for them."""
    finetune, probe = to_type("finetune", init_from), to_type("finetune", "mode=probe", init_from)
    try:
        task, videos, is_tested = _labelled_videos(config)
    except ConfigError as error:
        option = "dataset.train" if isinstance(config.dataset, CsvDataset) else "dataset.root"
        return [f"# no fine-tuning of this data set: {one_line(error)}; with another one: {finetune} {option}=…"]
    if videos < FINETUNING_BATCH:
        finetune += f" batch_size={videos // 2 * 2}"  # clips of two videos are mixed
    if task != CLASSIFICATION:
        return [f"{finetune} task={task}"]  # a probe tells classes apart
    return [finetune, probe if is_tested else f"# {probe} has nothing to test on: {how_to_hold_out(config.dataset)}"]


def _labelled_videos(config: PretrainConfig) -> tuple[str, int, bool]:
    """What a fine-tuning of this data set learns, on how many videos, and whether there are others to test with.

    Raises:
        ConfigError: it has no lists for that; whatever fine-tuning would say.
    """
    if isinstance(config.dataset, RenderedDataset):  # what it holds out is rendered when it is wanted
        return CLASSIFICATION, len(build_index(config.dataset, config.data.max_bad_frac).paths), True
    arguments = (config.dataset, config.data.max_bad_frac, None, config.data.frames)
    task = CLASSIFICATION
    if (written := build_index(*arguments).written) is not None:
        task = REGRESSION if any("." in labels for labels in written) else MULTILABEL
    splits = build_splits(*arguments, task)
    return task, len(splits.train.paths), splits.test is not None
