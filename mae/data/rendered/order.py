"""Videos of an object that changes before a still picture; the order or the speed of the change is the class.

Every frame of every class is drawn from one distribution: the object's place, size, hue and brightness are uniform in
their ranges and independent, and three of them stay as they are while the fourth runs through its range, so that only
frames together tell the class, and neither the mean of them nor which of them occur tells a class from its counterpart.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from mae.data.rendered import shapes
from mae.data.rendered.pictures import View, draw_picture, draw_place, look

# Hues in their order round the circle or backwards; growing slowly and shrinking at once, or backwards; one brightness
# or place after the other in many frames or in few.
CLASS_NAMES = (
    "blink_fast",
    "blink_slow",
    "drift_fast",
    "drift_slow",
    "hue_backwards",
    "hue_forwards",
    "swell_backwards",
    "swell_forwards",
)
DARKEST = 0.6  # of the brightness range, which ends at 1


@dataclass(frozen=True)
class Change:
    """The object in every frame, each of shape (T,)."""

    x: np.ndarray  # pixels, not yet wrapped
    y: np.ndarray
    size: np.ndarray  # in [0, 1]: from the smallest to the largest diameter, on a logarithmic scale
    hue: np.ndarray  # turns of the colour circle, in [0, 1)
    brightness: np.ndarray  # in [0, 1]: from the darkest to the brightest


def draw_change(name: str, rng: np.random.Generator) -> Change:
    """A random change of one class. The still object is drawn first and in the same way for every class."""
    time = np.arange(shapes.NUM_FRAMES)
    x, y = (np.full(shapes.NUM_FRAMES, value) for value in rng.uniform(0, shapes.FRAME_SIZE, size=2))
    size, hue, brightness = (np.full(shapes.NUM_FRAMES, value) for value in rng.uniform(size=3))

    if name.startswith("drift"):
        speed = rng.uniform(2.4, 3.4) if name == "drift_fast" else rng.uniform(0.2, 0.5)  # pixels a frame
        direction = rng.uniform(0, 2 * np.pi)
        x, y = x + speed * np.cos(direction) * time, y + speed * np.sin(direction) * time
    elif name.startswith("blink"):
        period = rng.uniform(12, 18) if name == "blink_fast" else rng.uniform(48, 64)  # frames
        brightness = np.abs(2 * ((brightness + time / period) % 1) - 1)
    elif name.startswith("hue"):
        turn = time / rng.uniform(20, 28)
        hue = (hue + (turn if name == "hue_forwards" else -turn)) % 1
    else:
        turn = time / rng.uniform(16, 22)
        size = (size + (turn if name == "swell_forwards" else -turn)) % 1
    return Change(x, y, size, hue, brightness)


def render_video(name: str, rng: np.random.Generator, held_out: bool) -> np.ndarray:
    """One video of the class, uint8 (T, H, W, 3) RGB, a function of the generator's state alone."""
    change = draw_change(name, rng)
    picture = draw_picture(rng, held_out)
    view = View(*draw_place(rng, picture), rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.0))
    behind = look(picture, view) * np.float32(0.4)
    shape, angle = shapes.draw_shape(rng), rng.uniform(0, 2 * np.pi)
    small, large = shapes.DIAMETERS
    frames = []
    for t in range(shapes.NUM_FRAMES):
        sprite = shapes.cut_out(_colour(change.hue[t], change.brightness[t]), shape)
        diameter = small * (large / small) ** change.size[t]
        frames.append(shapes.place(sprite, behind, change.x[t], change.y[t], angle, diameter))
    return np.stack(frames)


def _colour(hue: float, brightness: float) -> np.ndarray:
    """A saturated colour, (3,) float32 grey levels."""
    value = DARKEST + (1 - DARKEST) * brightness
    hsv = np.array([[[360 * hue, 0.55, value]]], np.float32)
    return 255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]
