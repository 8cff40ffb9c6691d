"""`python -m mae.masks output=masks.png`: a picture of each kind of mask on one clip, before anything is trained.

output        .png, a sheet of frames, or .gif or .mp4, a moving picture (default: masks.png in the working directory)
video         one video (default: one of the demo's, drawn on the spot)
frames        of a directory with several series of pictures: which of them is the video, as img_*
model         whose token grid is masked: a size as in conf/model (default: vit_tiny, and vit_base with video=)
mask_ratio    share of the tokens that is hidden from the encoder (default 0.75)
mask_motion_share     of what is hidden, or visible, the share that moves most, where masks follow motion (default 0.5)
decoder_mask_ratio   share that the decoder leaves out in dual masking: 0.25, 0.5 (default) or 0.75
frame_stride  source frames between two frames of the clip (default 2)
window        of an array, what becomes black and white, as [-1000,400] (default: it is uint8)
seed          of the masks (default 0)
"""

if __name__ == "__main__":
    from mae.cli.exit_status import end_on_interrupt

    end_on_interrupt()  # before all that takes time to import

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mae.cli.arguments import command_config
from mae.cli.command import run_command
from mae.cli.typed import PATH
from mae.data.clips import ClipSpec, clip_of
from mae.data.lists.given import given_video
from mae.data.rendered.shapes import CLASS_NAMES, render_video
from mae.data.sampling import CENTERS
from mae.data.transforms.crops import resized
from mae.data.videos.decoding import Decoding, check_window
from mae.errors import ConfigError, check_at_least, check_choice
from mae.masking import MASKS, clip_mask, running_cell_mask
from mae.monitoring.panels import BLANK, GREY, mask_to_pixels
from mae.monitoring.pictures import check_output, save_picture
from mae.monitoring.sheets import View, draw_moving, draw_sheet, shown_frames
from mae.presets import PRESETS, Architecture
from mae.seeds import generator


@dataclass(frozen=True)
class MasksConfig:
    """The arguments of the command."""

    output: str = field(default="masks.png", metadata=PATH)
    video: str | None = field(default=None, metadata=PATH)  # null: one of the demo's
    frames: str | None = None  # which pictures of a directory are its frames; null: there is one series in it
    model: str | None = None  # in `mae.presets.PRESETS`; null: vit_tiny for the demo's video, else vit_base
    mask_ratio: float = 0.75
    mask_motion_share: float = 0.5
    decoder_mask_ratio: float = 0.5
    frame_stride: int = 2
    window: list[float] | None = None  # what becomes black and white of an array; null: it is uint8
    seed: int = 0

    @property
    def architecture(self) -> Architecture:
        """Whose token grid is masked."""
        return PRESETS[self.model or ("vit_tiny" if self.video is None else "vit_base")]

    def __post_init__(self) -> None:
        check_output(self.output)
        if self.model is not None:
            check_choice("model", self.model, PRESETS)
        check_at_least(1, self, "frame_stride")
        check_at_least(0, self, "seed")
        check_window(self.window, "")
        if self.frames is not None and self.video is None:
            raise ConfigError(f"frames={self.frames} is for video=, a directory of pictures: give it as well")


def draw_masks(config: MasksConfig) -> str:
    """Writes the picture; returns the line to print."""
    a = config.architecture
    decoded = _clip(config, a)
    clip = decoded[None] / np.float32(255)
    views = [View(("original",), clip)]

    def mask(kind: str, prefer: str = "none") -> np.ndarray:
        share = config.mask_motion_share
        return clip_mask(decoded, a.tubelet, kind, config.mask_ratio, prefer, share, config.seed)[None]

    def show(label: str, is_masked: np.ndarray) -> None:
        hidden = _pixels(is_masked, a)
        views.append(View((label, f"{hidden.mean():.1%} masked"), np.where(hidden, np.float32(GREY), clip)))

    for kind in MASKS:
        show(kind, mask(kind))
    for prefer, what in (("hide", "hidden"), ("keep", "kept")):
        show(f"tube, motion {what}", mask("tube", prefer))
    predicted = mask("tube") & ~running_cell_mask(a.grid, config.decoder_mask_ratio, seed=config.seed)
    label = ("tube, dual masking", f"what is predicted: {predicted.mean():.1%}")
    views.append(View(label, np.where(_pixels(predicted, a), clip, np.float32(BLANK))))
    t, h, w = a.grid
    title = f"masks of {t} x {h} x {w} tokens, mask_ratio {config.mask_ratio:g}"
    output = Path(config.output)
    save_picture(
        output,
        lambda: draw_sheet(views, shown_frames(t, a.tubelet_size), title),
        lambda: draw_moving([views[:2], views[2:5], views[5:]], title),
    )
    return f"{output}: {title}"


def _pixels(is_masked: np.ndarray, architecture: Architecture) -> np.ndarray:
    return mask_to_pixels(is_masked, architecture.grid, architecture.tubelet)[..., None]


def _clip(config: MasksConfig, architecture: Architecture) -> np.ndarray:
    """(T, H, W, 3) uint8."""
    a, decoding = architecture, Decoding(window=check_window(config.window, ""))
    spec = ClipSpec(a.num_frames, config.frame_stride, a.image_size, sampler=CENTERS["dense"], decoding=decoding)
    if config.video is None:
        return _demo_clip(config, spec)
    return clip_of("video=", config.video, given_video("video=", config.video, config.frames), spec)


def _demo_clip(config: MasksConfig, spec: ClipSpec) -> np.ndarray:
    """A video of the demo set, of the size that is asked for; its last frame repeats where it is too short."""
    video = render_video(CLASS_NAMES[0], generator(config.seed, "shapes", 0, 0))
    frames = video[np.minimum(np.arange(spec.num_frames) * spec.frame_stride, len(video) - 1)]
    size = spec.picture_size
    return np.stack([resized(frame, size) for frame in frames])


def main(arguments: list[str]) -> None:
    """Runs the command."""
    print(draw_masks(command_config(MasksConfig, arguments)))


if __name__ == "__main__":
    run_command(main, __doc__)
