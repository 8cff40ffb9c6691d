"""`python -m mae.reconstruct checkpoint=… video=FILE`: what a pre-trained model makes of a masked video.

checkpoint    a run directory, or a pre-trained checkpoint of any format: it must hold a decoder
video         one video
frames        of a directory with several series of pictures: which of them is the video, as img_*
output        .png, a sheet of frames, or .gif or .mp4, a moving picture: the original, what is left of it under the
              mask, the predicted patches, and these among the visible ones (default: <video>_reconstruction.png in the
              working directory)
masking, mask_ratio   what is hidden: tube, random, frame or block, and which share (default: as in training, else as
              published: tube, 0.9)
mask_motion   what moves: none, hidden as everything else, or hide or keep (default: as in training, else none)
seed          of the mask (default 0)
target        what the decoder predicts: videomae, mae_st, pixels or difference (default: as in training, else
              videomae)
frame_stride  source frames between two frames of the clip (default: as in training, else 4)
sampler       dense, or segments: a frame of each of as many equal parts of the video (default: as in training, else
              dense)
resize        of a video of another aspect: crop, letterbox or stretch (default: as in training, else crop)
precision     float32 (default), bfloat16, float16, or auto: bfloat16 where the GPU has it
backend       tensorflow or jax (default: as KERAS_BACKEND says, else tensorflow where it is installed)
num_heads, decoder_num_heads, image_size, num_frames   of the model, where the checkpoint does not tell them or should
              run at others
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

from dataclasses import dataclass, field
from pathlib import Path

from mae.cli.arguments import command_config
from mae.cli.backend import load_backend
from mae.cli.command import run_command
from mae.cli.typed import PATH
from mae.errors import ConfigError, check_at_least, check_choice
from mae.masking import MASKS, clip_mask, num_masked
from mae.monitoring.pictures import check_output, save_picture
from mae.options import CLIP_KINDS, MASK_MOTIONS, PRECISIONS, RESIZES, TARGETS
from mae.picture_size import PictureSize, check_picture_size


@dataclass(frozen=True)
class ReconstructConfig:
    """The arguments of the command."""

    checkpoint: str = field(metadata=PATH)  # a run directory, or a checkpoint of any format with a decoder
    video: str = field(metadata=PATH)
    # .png, .gif or .mp4; null: <video>_reconstruction.png in the working directory.
    output: str | None = field(default=None, metadata=PATH)
    frames: str | None = None  # which pictures of a directory are its frames; null: there is one series in it
    mask_ratio: float | None = None  # null: as in training, as all that follow but the seed
    masking: str | None = None
    mask_motion: str | None = None  # none | hide | keep
    seed: int = 0  # of the mask
    target: str | None = None
    frame_stride: int | None = None  # source frames between two of the clip
    sampler: str | None = None  # dense | segments
    resize: str | None = None  # crop | letterbox | stretch
    precision: str = "float32"
    backend: str | None = None  # tensorflow | jax; null: as KERAS_BACKEND says, else tensorflow where it is installed
    num_heads: int | None = None  # of the model, as the next three
    decoder_num_heads: int | None = None
    image_size: PictureSize | None = None
    num_frames: int | None = None

    @property
    def output_path(self) -> Path:
        return Path(self.output or f"{Path(self.video).stem}_reconstruction.png")

    @property
    def sizes(self) -> dict[str, PictureSize | None]:
        """Of the model, as `mae.evaluation.trained` takes them."""
        return {
            "num_heads": self.num_heads,
            "decoder_num_heads": self.decoder_num_heads,
            "image_size": self.image_size,
            "num_frames": self.num_frames,
        }

    def __post_init__(self) -> None:
        check_output(self.output_path if self.output is None else self.output)
        for name, choices in (
            ("masking", MASKS),
            ("target", TARGETS),
            ("sampler", CLIP_KINDS),
            ("resize", RESIZES),
            ("mask_motion", MASK_MOTIONS),
        ):
            if getattr(self, name) is not None:
                check_choice(name, getattr(self, name), choices)
        check_choice("precision", self.precision, PRECISIONS)
        check_at_least(1, self, "frame_stride", "num_heads", "decoder_num_heads", "num_frames")
        check_picture_size(self.image_size)
        if self.seed < 0:
            raise ConfigError(f"seed={self.seed} must not be negative")
        if self.output_path.exists() and Path(self.video).exists() and self.output_path.samefile(self.video):
            raise ConfigError(f"output={self.output} is the video itself; give another name")


def reconstruct(config: ReconstructConfig) -> str:
    """Writes the picture; returns the lines to print."""
    load_backend(config.backend)  # only now: a mistake in the arguments is told before that
    from mae.checkpoints.metadata import Training
    from mae.data.clips import clip_of
    from mae.data.lists.given import given_video
    from mae.engines.start import start_engine_for_a_while
    from mae.evaluation.reconstruction import FixedBatch
    from mae.evaluation.trained import load_pretrainer

    video = given_video("video=", config.video, config.frames)
    given = Training(
        frame_stride=config.frame_stride,
        target=config.target,
        masking=config.masking,
        mask_ratio=config.mask_ratio,
        mask_motion=config.mask_motion,
        resize=config.resize,
    )
    engine = start_engine_for_a_while()
    dtype = engine.dtype_policy(config.precision)
    with engine.scope():
        trained = load_pretrainer(config.checkpoint, given, dtype, config.sizes, config.sampler)
    a, told = trained.model.architecture, trained.training
    assert told.masking is not None
    assert told.mask_ratio is not None
    told.predicted.check_frames(a.num_frames)
    num_masked(told.masking, a.grid, told.mask_ratio)
    clip = clip_of("video=", config.video, video, trained.middle_clip)
    prefer, share = told.mask_motion or "none", told.mask_motion_share or 0.5
    mask = clip_mask(clip, a.tubelet, told.masking, told.mask_ratio, prefer, share, config.seed)
    batch = FixedBatch(clip[None], mask[None])
    predicted = batch.prediction(engine, trained.model)()
    loss = batch.loss(predicted, a, told.predicted)
    reconstruction = batch.reconstruct(predicted, a, told.predicted)
    save_picture(
        config.output_path,
        lambda: reconstruction.whole_picture(told.step, loss),
        lambda: reconstruction.movie(told.step, loss),
    )
    followed = "" if prefer == "none" else f" that follows motion ({prefer})"
    how = f"{told.masking} mask {told.mask_ratio:g}{followed}, target {told.predicted}"
    made = f"{config.output_path}: loss {loss:.4f}, psnr {reconstruction.psnr:.1f} dB over masked pixels"
    if reconstruction.psnr_of_neighbours is not None:
        made += f" (the frame before as it is: {reconstruction.psnr_of_neighbours:.1f} dB)"
    return f"{made}\n{how}; {trained.description}"


def main(arguments: list[str]) -> None:
    """Runs the command."""
    print(reconstruct(command_config(ReconstructConfig, arguments)))


if __name__ == "__main__":
    run_command(main, __doc__)
