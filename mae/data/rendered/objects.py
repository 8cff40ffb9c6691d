"""Videos of a textured object before a textured background that moves on its own; the object's motion is the class.

The classes and motions are those of `mae.data.rendered.shapes`. Object and background are parts of natural pictures;
the background drifts in any direction, whatever the class.
"""

import numpy as np

from mae.data.rendered import shapes
from mae.data.rendered.pictures import View, draw_picture, draw_place, look

CLASS_NAMES = shapes.CLASS_SETS["straight"]
_BACKGROUND_SPEED = (0.3, 1.0)  # pixels of the frame each


def render_video(name: str, rng: np.random.Generator, held_out: bool) -> np.ndarray:
    """One video of the class, uint8 (T, H, W, 3) RGB, a function of the generator's state alone."""
    motion = shapes.draw_motion(name, rng)
    behind = draw_background(rng, held_out)
    sprite = _draw_sprite(rng, held_out)
    return np.stack(
        [
            shapes.place(sprite, behind[t], motion.x[t], motion.y[t], motion.angle[t], motion.diameter[t])
            for t in range(shapes.NUM_FRAMES)
        ]
    )


def draw_background(rng: np.random.Generator, held_out: bool) -> np.ndarray:
    """A picture that drifts, (T, H, W, 3) float32: darker than objects, which are found by it."""
    picture = draw_picture(rng, held_out)
    x, y = draw_place(rng, picture)
    direction, speed = rng.uniform(0, 2 * np.pi), rng.uniform(*_BACKGROUND_SPEED)
    scale, angle = rng.uniform(0.4, 1.0), rng.uniform(0, 2 * np.pi)
    steps = scale * speed * np.arange(shapes.NUM_FRAMES)
    frames = [
        look(picture, View(x + step * np.cos(direction), y + step * np.sin(direction), angle, scale)) for step in steps
    ]
    return np.stack(frames) * np.float32(0.3)


def _draw_sprite(rng: np.random.Generator, held_out: bool) -> np.ndarray:
    """A random shape cut out of a picture, as `shapes.cut_out` makes it."""
    picture = draw_picture(rng, held_out)
    view = View(*draw_place(rng, picture), rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.6))
    texture = look(picture, view, shapes.SPRITE_SIZE)
    return shapes.cut_out(128 + 0.5 * texture.astype(np.float32), shapes.draw_shape(rng))
