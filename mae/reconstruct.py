"""`python -m mae.reconstruct checkpoint=RUN video=FILE`: what a pre-trained model makes of a masked video.

Writes a sheet of frames (.png) or a moving picture (.gif, .mp4): original, masked, reconstruction.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mae.cli.arguments import command_config
from mae.cli.exit_status import exit_statuses
from mae.cli.quiet import import_tensorflow, quiet_libraries
from mae.errors import BadVideo, ConfigError, check_choice

FORMATS = (".png", ".gif", ".mp4")
SCALE_TO = 192  # pixels: smaller frames of a moving picture are enlarged by a whole factor
FRAMES_PER_SECOND = 8


@dataclass(frozen=True)
class ReconstructConfig:
    """The arguments of the command."""

    checkpoint: str  # a run directory, or one of its checkpoints
    video: str
    output: str | None = None  # .png, .gif or .mp4; null: <video>_reconstruction.png in the working directory
    mask_ratio: float | None = None  # null: as in training
    masking: str | None = None  # null: as in training
    seed: int = 0  # of the mask

    @property
    def output_path(self) -> Path:
        return Path(self.output or f"{Path(self.video).stem}_reconstruction.png")

    def __post_init__(self) -> None:
        check_choice("format of output=", self.output_path.suffix, FORMATS)
        if self.seed < 0:
            raise ConfigError(f"seed={self.seed} must not be negative")
        if self.output_path.exists() and Path(self.video).exists() and self.output_path.samefile(self.video):
            raise ConfigError(f"output={self.output} is the video itself; give another name")
        if not self.output_path.parent.is_dir():
            raise ConfigError(f"output={self.output}: there is no directory {self.output_path.parent}")


def reconstruct(config: ReconstructConfig) -> str:
    """Writes the picture; returns the line to print."""
    import_tensorflow()  # only now: a mistake in the arguments is told before that
    from mae.checkpoints.run import load_run
    from mae.data.clips import ClipReader, ClipSpec
    from mae.data.lists.given import given_video
    from mae.evaluation.reconstruction import FixedBatch
    from mae.files import replacing
    from mae.masking import MASKS, num_masked
    from mae.monitoring.panels import save_png
    from mae.training.launch import start_engine_for_a_while

    video = given_video("video=", config.video)
    with start_engine_for_a_while().scope():
        trained = load_run(config.checkpoint)
    run, a = trained.config, trained.model.architecture
    masking = config.masking or run["masking"]
    mask_ratio = run["mask_ratio"] if config.mask_ratio is None else config.mask_ratio
    num_masked(masking, a.grid, mask_ratio)
    spec = ClipSpec(a.num_frames, run["dataset"]["frame_stride"], a.image_size)
    try:
        clip = ClipReader(video, spec, seed=0).center_clip(0)
    except BadVideo as error:
        raise ConfigError(f"video={config.video}: {error}") from error
    batch = FixedBatch(clip[None], MASKS[masking](a.grid, mask_ratio, seed=config.seed))
    loss = batch.loss(trained.model, run["target"])
    reconstruction = batch.reconstruct(trained.model, run["target"])
    try:
        if config.output_path.suffix == ".png":
            save_png(config.output_path, reconstruction.picture(trained.step, loss))
        else:
            with replacing(config.output_path) as temporary:
                _save_moving(temporary, reconstruction.side_by_side()[0])
    except OSError as error:
        raise ConfigError(f"output={config.output_path} cannot be written ({error.strerror})") from error
    return f"{config.output_path}: loss {loss:.4f}, psnr {reconstruction.psnr:.1f} dB over masked pixels"


def _save_moving(path: Path, frames: np.ndarray) -> None:
    """(T, H, W, 3) uint8 RGB as .gif or .mp4, enlarged by a whole factor."""
    factor = max(1, SCALE_TO // frames.shape[1])
    frames = frames.repeat(factor, axis=1).repeat(factor, axis=2)
    if path.suffix == ".gif":
        from PIL import Image

        first, *rest = [Image.fromarray(frame) for frame in frames]
        first.save(path, save_all=True, append_images=rest, duration=1000 // FRAMES_PER_SECOND, loop=0)
        return
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FRAMES_PER_SECOND, (width, height))
    if not writer.isOpened():
        raise ConfigError("OpenCV cannot encode MP4: write a .gif, or reinstall opencv-python-headless")
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


if __name__ == "__main__":
    quiet_libraries()
    with exit_statuses():
        print(reconstruct(command_config(ReconstructConfig, sys.argv[1:])))
