"""Height and width of a picture, in pixels, as settings give them: one number of a square, or both."""

from numbers import Integral
from typing import Any

from mae.errors import ConfigError, shown

PictureSize = int | tuple[int, int]
LARGEST = 1 << 16  # far beyond what was ever trained


def picture_size(name: str, value: Any) -> PictureSize:
    """The size in its one form, so that what is the same is equal: both numbers only where they differ.

    Args:
        name: of the setting, for the message.
        value: a whole number, or a list of height and width.

    Raises:
        ConfigError: it is something else, or a number is out of range.
    """
    numbers = [*value] if isinstance(value, list | tuple) else [value, value]
    if len(numbers) != 2 or not all(map(_is_length, numbers)):
        listed = isinstance(value, list | tuple) and 0 < len(value) <= 4
        told = f"[{','.join(map(shown, value))}]" if listed else shown(value)
        raise ConfigError(
            f"{name}={told} must be a whole number from 1 to {LARGEST}, or two of them, [height,width] in pixels"
        )
    height, width = map(int, numbers)
    return height if height == width else (height, width)


def check_picture_size(size: Any) -> None:
    """Raises `ConfigError` unless what an argument `image_size=` gives is a size, or none."""
    if size is not None:
        picture_size("image_size", size)


def height_and_width(size: PictureSize) -> tuple[int, int]:
    """Both numbers."""
    return (size, size) if isinstance(size, int) else size


def size_setting(size: PictureSize) -> str:
    """As it is typed: `96`, or `[96,160]`."""
    return str(size) if isinstance(size, int) else f"[{size[0]},{size[1]}]"


def shown_size(size: PictureSize) -> str:
    """As people write it: `96×160`."""
    return "×".join(map(str, height_and_width(size)))


def _is_length(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and 1 <= int(value) <= LARGEST
