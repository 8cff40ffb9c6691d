"""Frames of videos beside each other, labelled: as one sheet, or as a moving picture.

Shapes: `k` clips of `T` frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from mae.monitoring.lettering import INK, LINE, PAPER, QUIET, RULE, text_width, write

MAX_COLUMNS = 8
MIN_FRAME_WIDTH = 96  # pixels of a sheet; smaller frames are enlarged by a whole factor
MIN_PANEL_WIDTH = 192  # … of a moving picture
GAP = 4  # pixels between frames
MARGIN = 12  # pixels around everything


@dataclass(frozen=True)
class View:
    """One row of a sheet, one panel of a moving picture."""

    label: tuple[str, ...]  # lines: the name, and what is to be known about it
    videos: np.ndarray  # (k, T, H, W, 3) in [0, 1]


def shown_frames(tubelets: int, tubelet_size: int, columns: int = MAX_COLUMNS) -> np.ndarray:
    """Indices of the frames drawn: the first of each tubelet, thinned evenly to at most `columns`."""
    picked = np.linspace(0, tubelets - 1, min(tubelets, columns)).round().astype(int)
    return picked * tubelet_size


def draw_sheet(views: Sequence[View], frames: np.ndarray, title: str) -> np.ndarray:
    """The views of every clip below each other, a column for each of `frames`: (height, width, 3) uint8 RGB."""
    k, _, height, width, _ = views[0].videos.shape
    scale = -(-MIN_FRAME_WIDTH // width)
    height, width = height * scale, width * scale
    clips = [f"clip {clip + 1}" for clip in range(k)] if k > 1 else [""]
    left = MARGIN + max(map(text_width, [*clips, *(line for view in views for line in view.label)])) + 2 * GAP
    head = MARGIN + 2 * LINE + GAP
    # A row is at least as high as its longest label, and a clip's first row also carries the clip's number.
    tallest = max(len(view.label) + (row == 0 and k > 1) for row, view in enumerate(views))
    pitch = max(height, tallest * LINE) + GAP
    block = len(views) * pitch + 3 * GAP
    across = left + len(frames) * (width + GAP) - GAP + MARGIN
    size = (max(across, 2 * MARGIN + text_width(title)), head + k * block + MARGIN - 3 * GAP)
    sheet = Image.new("RGB", size, PAPER)

    write(sheet, title, (MARGIN, MARGIN))
    for column, frame in enumerate(frames):
        write(sheet, f"frame {frame + 1}", (left + column * (width + GAP), MARGIN + LINE), QUIET)
    for clip in range(k):
        top = head + clip * block
        if clip:
            rule = top - 2 * GAP
            ImageDraw.Draw(sheet).line([(MARGIN, rule), (size[0] - MARGIN, rule)], fill=RULE)
        for row, view in enumerate(views):
            y = top + row * pitch
            _write_label(sheet, view.label, (MARGIN, y))
            if row == 0:
                write(sheet, clips[clip], (MARGIN, y + len(view.label) * LINE), QUIET)
            for column, frame in enumerate(frames):
                shown = _enlarged(view.videos[clip, frame], scale)
                sheet.paste(shown, (left + column * (width + GAP), y))
    return np.asarray(sheet)


def draw_moving(columns: Sequence[Sequence[View]], title: str) -> np.ndarray:
    """The first clip of views beside and below each other, playing at once: (T, height, width, 3) uint8 RGB.

    Args:
        columns: from left to right, each from top to bottom; the last may be shorter.
    """
    views = [view for column in columns for view in column]
    _, count, height, width, _ = views[0].videos.shape
    scale = -(-MIN_PANEL_WIDTH // width)
    height, width = height * scale, width * scale
    lines = max(len(view.label) for view in views)
    pitch = (max(width, *(text_width(line) for view in views for line in view.label)) + 2 * GAP, height + lines * LINE)
    head = MARGIN + 2 * LINE + GAP
    across = 2 * MARGIN + len(columns) * pitch[0] - 2 * GAP
    size = (max(across, 2 * MARGIN + text_width(title)), head + len(columns[0]) * (pitch[1] + 2 * GAP) + MARGIN)
    made = []
    for frame in range(count):
        picture = Image.new("RGB", size, PAPER)
        write(picture, title, (MARGIN, MARGIN))
        write(picture, f"frame {frame + 1} of {count}", (MARGIN, MARGIN + LINE), QUIET)
        for across, column in enumerate(columns):
            for down, view in enumerate(column):
                x, y = MARGIN + across * pitch[0], head + down * (pitch[1] + 2 * GAP)
                _write_label(picture, view.label, (x, y))
                picture.paste(_enlarged(view.videos[0, frame], scale), (x, y + lines * LINE))
        made.append(np.asarray(picture))
    return np.stack(made)


def _write_label(picture: Image.Image, label: Sequence[str], corner: tuple[int, int]) -> None:
    x, y = corner
    for number, line in enumerate(label):
        write(picture, line, (x, y + number * LINE), QUIET if number else INK)


def _enlarged(frame: np.ndarray, scale: int) -> Image.Image:
    """(H, W, 3) in [0, 1], by a whole factor."""
    pixels = (np.asarray(frame) * 255).round().astype(np.uint8)
    return Image.fromarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1))
