"""`python -m mae.attention checkpoint=… video=FILE`: where an encoder looks, laid over the frames.

checkpoint    a run directory, or a checkpoint of any format: pre-trained, fine-tuned, or an encoder alone
video         one video
frames        of a directory with several series of pictures: which of them is the video, as img_*
output        .png, a sheet of frames, or .gif or .mp4, a moving picture (default: <video>_attention.png in the working
              directory)
token         whose attention is shown: t,h,w in the token grid, from 0 (default: of the pooled output, that is the mean
              over all tokens, or the first token's of a classifier that reads that one)
block         number of the encoder's block, from 1 (default: the last)
head          mean (default) of all heads, each of them, or the number of one, from 1
frame_stride  source frames between two frames of the clip (default: as the checkpoint tells, else 4)
sampler       dense, or segments: a frame of each of as many equal parts of the video (default: of the kind the model
              was trained on, else dense)
resize        of a video of another aspect: crop, letterbox or stretch (default: as in training, else crop)
precision     float32 (default), bfloat16, float16, or auto: bfloat16 where the GPU has it
backend       tensorflow or jax (default: as KERAS_BACKEND says, else tensorflow where it is installed)
num_heads, image_size, num_frames   of the model, where the checkpoint does not tell them or should run at others

Dark is little and bright is much attention, on one scale for all frames; a number says what is brightest, as a multiple
of what every token would get if all got the same. The token that attends has a white frame around it.
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from einops import rearrange

from mae.cli.arguments import command_config
from mae.cli.backend import load_backend
from mae.cli.command import run_command
from mae.cli.typed import PATH
from mae.errors import ConfigError, check_at_least, check_choice
from mae.monitoring.panels import in_colours
from mae.monitoring.pictures import check_output, save_picture
from mae.options import CLIP_KINDS, PRECISIONS, RESIZES
from mae.picture_size import PictureSize, check_picture_size
from mae.presets import Architecture

BRIGHTEST = 99.5  # percentile of a map that is as bright as can be: a single token must not darken all others
SHARE = 0.65  # of the map in the picture; the rest is the frame, in grey


@dataclass(frozen=True)
class AttentionConfig:
    """The arguments of the command."""

    checkpoint: str = field(metadata=PATH)  # a run directory, or a checkpoint of any format
    video: str = field(metadata=PATH)
    # .png, .gif or .mp4; null: <video>_attention.png in the working directory.
    output: str | None = field(default=None, metadata=PATH)
    frames: str | None = None  # which pictures of a directory are its frames; null: there is one series in it
    token: str | None = None  # t,h,w; null: the pooled output
    block: int | None = None  # from 1; null: the last
    head: str = "mean"  # mean | each | a number from 1
    frame_stride: int | None = None  # source frames between two of the clip; null: as in training
    sampler: str | None = None  # dense | segments; null: as in training
    resize: str | None = None  # crop | letterbox | stretch; null: as in training
    precision: str = "float32"
    backend: str | None = None  # tensorflow | jax; null: as KERAS_BACKEND says, else tensorflow where it is installed
    num_heads: int | None = None  # of the model, as the next two
    image_size: PictureSize | None = None
    num_frames: int | None = None

    @property
    def output_path(self) -> Path:
        return Path(self.output or f"{Path(self.video).stem}_attention.png")

    @property
    def sizes(self) -> dict[str, PictureSize | None]:
        """Of the model, as `mae.evaluation.trained` takes them."""
        return {"num_heads": self.num_heads, "image_size": self.image_size, "num_frames": self.num_frames}

    def __post_init__(self) -> None:
        check_output(self.output_path if self.output is None else self.output)
        if self.sampler is not None:
            check_choice("sampler", self.sampler, CLIP_KINDS)
        if self.resize is not None:
            check_choice("resize", self.resize, RESIZES)
        check_choice("precision", self.precision, PRECISIONS)
        check_at_least(1, self, "block", "frame_stride", "num_heads", "num_frames")
        check_picture_size(self.image_size)
        if self.head not in ("mean", "each") and not (self.head.isdecimal() and int(self.head) > 0):
            raise ConfigError(f"head={self.head} must be mean, each, or a number from 1")
        if self.token is not None and not _is_place(self.token):
            raise ConfigError(f"token={self.token} must be three whole numbers: t,h,w")

    def place(self, grid: tuple[int, int, int]) -> tuple[int, int, int] | None:
        """The token that attends; raises `ConfigError` for one outside the grid."""
        if self.token is None:
            return None
        t, h, w = (int(word) for word in self.token.split(","))
        if not (t < grid[0] and h < grid[1] and w < grid[2]):
            raise ConfigError(f"token={self.token} lies outside the grid of {' × '.join(map(str, grid))} tokens")
        return t, h, w

    def block_of(self, depth: int) -> int:
        """The index of the block; raises `ConfigError` where there are not so many."""
        if self.block is not None and self.block > depth:
            raise ConfigError(f"block={self.block}: the encoder has {depth} blocks")
        return (self.block or depth) - 1

    def heads_of(self, count: int) -> list[int]:
        """The indices of the heads; raises `ConfigError` where there are not so many."""
        if not self.head.isdecimal():
            return list(range(count))
        if int(self.head) > count:
            raise ConfigError(f"head={self.head}: a block has {count} heads")
        return [int(self.head) - 1]


def _is_place(token: str) -> bool:
    words = token.split(",")
    return len(words) == 3 and all(word.strip().isdecimal() for word in words)


def show_attention(config: AttentionConfig) -> str:
    """Writes the picture; returns the lines to print."""
    load_backend(config.backend)  # only now: a mistake in the arguments is told before that
    from mae.data.clips import clip_of
    from mae.data.lists.given import given_video
    from mae.engines.start import start_engine_for_a_while
    from mae.evaluation.attention_maps import attention_map
    from mae.evaluation.trained import load_encoder

    video = given_video("video=", config.video, config.frames)
    engine = start_engine_for_a_while()
    dtype = engine.dtype_policy(config.precision)
    with engine.scope():
        trained = load_encoder(
            config.checkpoint, config.frame_stride, dtype, config.sizes, config.sampler, resize=config.resize
        )
    a = trained.model.architecture
    place, block, heads = config.place(a.grid), config.block_of(a.depth), config.heads_of(a.num_heads)
    token = None if place is None else int(np.ravel_multi_index(place, a.grid))
    clip = clip_of("video=", config.video, video, trained.middle_clip)
    run = engine.local(trained.model, lambda videos: attention_map(trained.model, videos, block, token))
    weights = np.asarray(run(clip[None]))[0][heads] * a.num_tokens  # 1: what all would get alike
    told = f"block {block + 1} of {a.depth}, of {'the pooled output' if token is None else f'token {config.token}'}"
    shown = weights.mean(axis=0, keepdims=True) if config.head == "mean" else weights
    _write_picture(config, a, clip, shown, heads, place, f"attention, {told}")
    return f"{config.output_path}: {told}; a token gets at most {shown.max():.1f} × the average\n{trained.description}"


def _write_picture(
    config: AttentionConfig,
    a: Architecture,
    clip: np.ndarray,
    weights: np.ndarray,
    heads: list[int],
    place: tuple[int, int, int] | None,
    title: str,
) -> None:
    """`weights`: (maps, n), in multiples of the average."""
    from mae.monitoring.sheets import View, draw_moving, draw_sheet, shown_frames

    views = [View(("original",), _framed(in_colours(clip) / np.float32(255), a, place)[None])]
    names = [f"mean of {len(heads)} heads"] if config.head == "mean" else [f"head {head + 1}" for head in heads]
    for name, one in zip(names, weights, strict=True):
        brightest = max(float(np.percentile(one, BRIGHTEST)), 1e-6)
        laid_over = _framed(lay_over(clip, one / brightest, a), a, place)
        views.append(View((name, f"brightest: {brightest:.1f} x average"), laid_over[None]))
    save_picture(
        config.output_path,
        lambda: draw_sheet(views, shown_frames(a.grid[0], a.tubelet_size), title),
        lambda: draw_moving(in_columns(views), title),
    )


def lay_over(clip: np.ndarray, brightness: np.ndarray, a: Architecture) -> np.ndarray:
    """A map in colours over the frames in grey.

    Args:
        clip: (T, H, W, c) uint8.
        brightness: (t·h·w,), from 0 to 1; what is above is as bright.

    Returns:
        (T, H, W, 3) float32 in [0, 1].
    """
    grid = rearrange(brightness, "(t h w) -> t h w", t=a.grid[0], h=a.grid[1])
    size = clip.shape[2], clip.shape[1]
    smooth = [cv2.resize(step.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) for step in grid]
    levels = (np.clip(np.stack(smooth), 0, 1) * 255).round().astype(np.uint8).repeat(a.tubelet_size, axis=0)
    colours = np.stack([cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)[..., ::-1] for level in levels])
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in in_colours(clip)])[..., None]
    return (SHARE * colours + (1 - SHARE) * grey).astype(np.float32) / 255


def _framed(video: np.ndarray, a: Architecture, place: tuple[int, int, int] | None) -> np.ndarray:
    """A white frame around the token that attends, in the frames that it is of."""
    if place is None:
        return video
    (t, h, w), (pt, ph, pw) = place, a.tubelet
    framed = video.copy()
    patch = framed[t * pt : (t + 1) * pt, h * ph : (h + 1) * ph, w * pw : (w + 1) * pw]
    inside = patch[:, 1:-1, 1:-1].copy()
    patch[:] = 1
    patch[:, 1:-1, 1:-1] = inside
    return framed


def in_columns(views: list[Any]) -> list[list[Any]]:
    """Views from top to bottom and left to right: up to three in a row, more of them in three rows."""
    rows = 1 if len(views) <= 3 else 3
    return [views[start : start + rows] for start in range(0, len(views), rows)]


def main(arguments: list[str]) -> None:
    """Runs the command."""
    print(show_attention(command_config(AttentionConfig, arguments)))


if __name__ == "__main__":
    run_command(main, __doc__)
