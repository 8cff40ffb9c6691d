"""Renders the videos of the embedded data set: one object whose motion is the class.

Two things are arranged on purpose. A single frame says nothing about the class: position, angle and size
have the same distribution in every class, because the frame is a torus (what leaves on one side comes back
on the other) and because growing and shrinking run through the range the other classes draw their size from.
And every patch holds something a masked autoencoder can predict: targets are normalised per patch, so a flat
patch would be nothing but amplified rounding noise; background and object are therefore smooth gradients.
"""

from dataclasses import dataclass

import cv2
import numpy as np

FRAME_SIZE = 64  # pixels, height and width
NUM_FRAMES = 32
DIAMETERS = (24.0, 50.0)  # pixels, of the circle around the object; the range grow and shrink run through

CLASS_NAMES = (
    "circle_clockwise",
    "circle_counterclockwise",
    "grow",
    "move_down",
    "move_left",
    "move_right",
    "move_up",
    "rotate_clockwise",
    "rotate_counterclockwise",
    "shake_horizontal",
    "shake_vertical",
    "shrink",
)
# What turns one way or the other differs in how three frames follow each other, all else in two.
CLASS_SETS = {
    "all": CLASS_NAMES,
    "straight": tuple(name for name in CLASS_NAMES if not name.startswith(("circle", "rotate"))),
}
BACKGROUNDS = ("ramp", "dark")
_DIRECTIONS = {"move_down": (0, 1), "move_left": (-1, 0), "move_right": (1, 0), "move_up": (0, -1)}

SPRITE_SIZE = 96  # the object is drawn once at this size and warped into every frame
_SPRITE_RADIUS = 44
_SUPERSAMPLING = 2  # per axis, of the warped object before it is averaged down to frame pixels


@dataclass(frozen=True)
class Motion:
    """The object's pose in every frame, each of shape (T,); y points down, so angles grow clockwise."""

    x: np.ndarray  # pixels, not yet wrapped
    y: np.ndarray
    angle: np.ndarray  # radians
    diameter: np.ndarray  # pixels


def draw_motion(class_name: str, rng: np.random.Generator) -> Motion:
    """A random motion of one class. The still pose is drawn first and in the same way for every class."""
    if class_name not in CLASS_NAMES:
        raise ValueError(f"no class {class_name!r}; there are {', '.join(CLASS_NAMES)}")
    time = np.arange(NUM_FRAMES)
    small, large = DIAMETERS
    x, y = (np.full(NUM_FRAMES, position) for position in rng.uniform(0, FRAME_SIZE, size=2))
    angle = np.full(NUM_FRAMES, rng.uniform(0, 2 * np.pi))
    diameter = np.full(NUM_FRAMES, small * (large / small) ** rng.uniform())

    if class_name in _DIRECTIONS:
        right, down = _DIRECTIONS[class_name]
        speed = rng.uniform(1.5, 3.0)  # pixels per frame
        x, y = x + right * speed * time, y + down * speed * time
    elif class_name.startswith("rotate"):
        turn = np.radians(rng.uniform(4, 8))  # per frame
        angle = angle + turn * time * (1 if class_name == "rotate_clockwise" else -1)
    elif class_name.startswith("circle"):
        turn = 2 * np.pi / rng.uniform(14, 20)  # one round in that many frames
        phase = rng.uniform(0, 2 * np.pi) + turn * time * (1 if class_name == "circle_clockwise" else -1)
        radius = rng.uniform(8, 12)
        x, y = x + radius * np.cos(phase), y + radius * np.sin(phase)
    elif class_name.startswith("shake"):
        turn = 2 * np.pi / rng.uniform(14, 20)
        offset = rng.uniform(9, 13) * np.sin(rng.uniform(0, 2 * np.pi) + turn * time)
        x, y = (x + offset, y) if class_name == "shake_horizontal" else (x, y + offset)
    else:
        diameter = np.geomspace(small, large, NUM_FRAMES)
        diameter = diameter if class_name == "grow" else diameter[::-1]
    return Motion(x, y, angle, diameter)


def render_video(class_name: str, rng: np.random.Generator, background: str = "ramp") -> np.ndarray:
    """One video of the class, uint8 (T, H, W, 3) RGB, a function of the generator's state alone.

    Args:
        background: one of `BACKGROUNDS`.
    """
    motion = draw_motion(class_name, rng)
    object_colours, behind = (_draw_colours if background == "ramp" else _draw_bright_on_dark)(rng)
    sprite = _draw_sprite(object_colours, rng)
    frames = [
        place(sprite, behind, motion.x[t], motion.y[t], motion.angle[t], motion.diameter[t]) for t in range(NUM_FRAMES)
    ]
    return np.stack(frames)


def _draw_colours(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two object colours (2, 3) and a background (H, W, 3), float32 grey levels.

    Every channel of the object keeps clear of the background's: dark on light, or inverted, as the channel's
    coin falls. The background is a ramp over the whole frame, each channel in its own direction: 2 to 2.8 levels
    per pixel. With ramps half as steep the signal inside a patch is so small beside its mean that a small model
    needs hundreds of steps to notice it.
    """
    dark, middle = rng.uniform(0, 15, size=3), rng.uniform(40, 60, size=3)
    colours = np.where(rng.integers(0, 2, size=3), [dark, middle], [middle, dark])

    theta = rng.uniform(0, 2 * np.pi, size=3)
    right, down = np.cos(theta), np.sin(theta)
    rows, columns = np.mgrid[:FRAME_SIZE, :FRAME_SIZE] / FRAME_SIZE - 0.5
    along = (columns[..., None] * right + rows[..., None] * down) / (abs(right) + abs(down))  # (H, W, 3), ±0.5
    background = 164 + 180 * along

    is_inverted = rng.integers(0, 2, size=3) == 1
    colours = np.where(is_inverted, 255 - colours, colours)
    background = np.where(is_inverted, 255 - background, background)
    return colours.astype(np.float32), background.astype(np.float32)


def _draw_bright_on_dark(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """As `_draw_colours`: a bright object before an even dark grey, so that it is found without being looked for."""
    dark, bright = rng.uniform(110, 170, size=3), rng.uniform(190, 255, size=3)
    colours = np.where(rng.integers(0, 2, size=3), [dark, bright], [bright, dark])
    background = np.full((FRAME_SIZE, FRAME_SIZE, 3), rng.uniform(10, 50))
    return colours.astype(np.float32), background.astype(np.float32)


def _draw_sprite(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random shape filled with a gradient between two colours, as `cut_out` makes it."""
    alpha = draw_shape(rng)
    direction = rng.uniform(0, 2 * np.pi)
    rows, columns = (np.mgrid[:SPRITE_SIZE, :SPRITE_SIZE] + 0.5 - SPRITE_SIZE / 2) / _SPRITE_RADIUS
    blend = np.clip(0.5 + 0.5 * (columns * np.cos(direction) + rows * np.sin(direction)), 0, 1)[..., None]
    return cut_out(colours[0] * (1 - blend) + colours[1] * blend, alpha)


def draw_shape(rng: np.random.Generator) -> np.ndarray:
    """How much of each pixel a random shape covers, (S, S, 1) float32 in [0, 1]."""
    oversampled = 4
    size = SPRITE_SIZE * oversampled
    outlines = _outlines()
    outline = outlines[sorted(outlines)[rng.integers(len(outlines))]]
    corners = np.round(size / 2 + outline * _SPRITE_RADIUS * oversampled).astype(np.int32)
    coverage = cv2.fillPoly(np.zeros((size, size), np.float32), [corners], 1.0)
    return cv2.resize(coverage, (SPRITE_SIZE, SPRITE_SIZE), interpolation=cv2.INTER_AREA)[..., None]


def cut_out(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A sprite, (S, S, 4) float32 premultiplied RGBA, of a colour (S, S, 3) or (3,) and a shape (S, S, 1)."""
    return np.concatenate([colour * alpha, alpha], axis=-1).astype(np.float32)


def _outlines() -> dict[str, np.ndarray]:
    """Corner points (k, 2) inside the unit circle. No shape looks the same at every angle."""

    def polar(degrees: np.ndarray, radius: np.ndarray | float = 1.0) -> np.ndarray:
        return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], -1) * np.reshape(radius, (-1, 1))

    arm = 0.33  # half the width of the cross's arms
    reach = np.sqrt(1 - arm**2)
    cross = [(reach, -arm), (reach, arm), (arm, arm)]  # one arm's end and the inner corner after it
    quarter_turn = np.array([[0, 1], [-1, 0]])
    return {
        "arrow": np.array([(1, 0), (0, 1), (0, 0.4), (-0.9, 0.4), (-0.9, -0.4), (0, -0.4), (0, -1)]),
        "cross": np.concatenate([cross @ np.linalg.matrix_power(quarter_turn, k) for k in range(4)]),
        "half_disc": polar(np.linspace(-100, 100, 41)) - (0.35, 0),
        "square": polar(np.arange(0, 360, 90)),
        "star": polar(np.arange(0, 360, 36), np.tile([1, 0.5], 5)),
        "triangle": polar(np.arange(0, 360, 120)),
    }


def place(sprite: np.ndarray, background: np.ndarray, x: float, y: float, angle: float, diameter: float) -> np.ndarray:
    """The background with the object on it, uint8 (H, W, 3); for the sprite see `cut_out`.

    The object is warped to the middle of the frame with the position's fractional part and then rolled by
    whole pixels, which is what wraps it around the edges.
    """
    size = FRAME_SIZE * _SUPERSAMPLING
    scale = diameter / (2 * _SPRITE_RADIUS) * _SUPERSAMPLING
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    whole = np.floor([x, y])
    middle = size / 2 + (np.array([x, y]) - whole) * _SUPERSAMPLING - 0.5
    shift = middle - linear @ np.full(2, SPRITE_SIZE / 2 - 0.5)
    warped = cv2.warpAffine(sprite, np.column_stack([linear, shift]), (size, size), flags=cv2.INTER_LINEAR)
    warped = cv2.resize(warped, (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_AREA)
    right, down = whole.astype(int) - FRAME_SIZE // 2
    warped = np.roll(warped, (down, right), axis=(0, 1))
    frame = warped[..., :3] + background * (1 - warped[..., 3:])
    return np.clip(np.round(frame), 0, 255).astype(np.uint8)
