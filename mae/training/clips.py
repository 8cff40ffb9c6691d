"""What clips a run trains on, and how many of them wait in memory."""

from mae.data.clips import ClipSpec
from mae.data.footprint import Footprint, fitting_footprint
from mae.picture_size import shown_size
from mae.presets import Architecture
from mae.training.config import RunConfig


def clip_spec(config: RunConfig, frame_stride: int, architecture: Architecture) -> ClipSpec:
    """The clips of a model."""
    return ClipSpec(
        architecture.num_frames,
        frame_stride,
        architecture.image_size,
        config.augment,
        config.data.sampler,
        config.data.short_clip,
        config.data.clips_per_video,
        config.data.motion_candidates,
        config.data.decoding(architecture.in_channels),
        architecture.statistics,
        config.data.resize,
    )


def shown_picture(config: RunConfig) -> str:
    """How large a clip's pictures are, and how videos of another aspect become them where nothing is cut off."""
    resized = "" if config.data.resize == "crop" else f" ({config.data.resize})"
    return f"{shown_size(config.model.architecture.image_size)} pixels{resized}"


def pixels_row(config: RunConfig) -> list[tuple[str, str]]:
    """Name and value of what a pixel is, where it is not red, green and blue as ImageNet has them."""
    a, data = config.model.architecture, config.data
    if (data.channels, data.window, a.mean, a.std) == ("rgb", None, None, None):
        return []
    window = "" if data.window is None else f", {data.window[0]:g} is black and {data.window[1]:g} white"
    mean, std = ([round(value, 4) for value in values] for values in a.statistics)
    return [("pixels", f"{a.in_channels} channels ({data.channels}){window}, normalised by mean {mean}, std {std}")]


def clips_in_memory(config: RunConfig, spec: ClipSpec, num_workers: int, kept: int = 0, features: int = 0) -> Footprint:
    """Of one of `num_workers` machines; raises `ConfigError` where a given budget is too small.

    `kept`: clips of a probe; `features`: bytes of what it holds of their tokens. Only the chief has them; they are
    counted everywhere, so that all machines agree.
    """
    data = config.data
    return fitting_footprint(
        clip_bytes=spec.clip_bytes,
        batch_size=config.clips_per_step // num_workers,
        clips_in_flight=data.decoders * data.clips_per_video * data.motion_candidates,
        prefetch=data.prefetch,
        budget_gb=data.ram_budget_gb,
        kept=kept,
        features=features,
    )
