"""What a run tells the person who started it, besides its progress."""

from dataclasses import asdict
from pathlib import Path

from mae.cli.quoting import setting
from mae.data.lists.index import VideoIndex
from mae.pretraining.config import PretrainConfig
from mae.target_config import Target
from mae.training.handed_down import handed_down, hydra_setting
from mae.training.next_commands import next_commands
from mae.training.session import Session, optimizer_rows


def clip_rows(config: PretrainConfig) -> list[tuple[str, str]]:
    """Name and value of what a clip of pre-training is."""
    a = config.model.architecture
    t, h, w = a.grid
    visible, stride = a.num_tokens - config.num_masked, config.dataset.frame_stride
    realised = f"{config.num_masked} masked, {visible} visible (realised {config.num_masked / a.num_tokens:.4f})"
    decoder = []
    if config.decoder_mask_ratio > 0:
        predicted, is_same_for_all = config.num_predicted
        few = "" if is_same_for_all else "at most "
        decoder = [("decoder mask", f"running cells {config.decoder_mask_ratio}: {few}{predicted} tokens predicted")]
    return [
        ("clip", f"{a.num_frames} frames, stride {stride}, {a.image_size}×{a.image_size} pixels"),
        ("token grid", f"{t} × {h} × {w} = {a.num_tokens} tokens of {a.patch_dim} values"),
        ("mask", f"{config.masking} {config.mask_ratio}: {realised}"),
        *decoder,
    ]


def run_rows(config: PretrainConfig, index: VideoIndex, session: Session) -> list[tuple[str, str]]:
    """Name and value of what a run works with, for the table at its start; a row for each parameter group."""
    optimizer = session.optimizer
    millions = sum(group.size for group in optimizer.groups) / 1e6
    dtype = session.model.dtype_policy.compute_dtype
    rows = [
        *index.rows(),
        ("model", f"{config.model.preset}, {millions:.1f} M parameters, computes in {dtype}"),
        ("target", str(config.predicted)),
        ("devices", session.engine.describe_devices()),
    ]
    return [*rows, *optimizer_rows(config, session)]


def compare_with_trivial(loss: float, trivial: float, target: Target) -> str:
    """The loss on the probe batch beside that of a predictor that learnt nothing."""
    relation = f"{100 * (1 - loss / trivial):.0f} % under" if loss < trivial else "NOT under"
    return (
        f"probe loss {loss:.4f} (target {target}): {relation} the {trivial:.4f} of the trivial predictor, "
        f"which always says {'that nothing moves' if target.is_difference else 'the average'}"
    )


def print_summary(config: PretrainConfig, index: VideoIndex, run_dir: Path, video: str) -> str:
    """Where the run is, and the commands to type next, which it writes into the run directory as well."""
    run = str(run_dir)
    commands = [["python", "-m", "mae.reconstruct", setting("checkpoint", run), setting("video", video)]]
    if index.labels:
        settings = handed_down(asdict(config)).values()
        commands.append(["python", "finetune.py", *settings, hydra_setting("init_from", run)])
    return f"run: {run_dir} (pictures in reconstructions/)\n{next_commands(run_dir, commands)}"
