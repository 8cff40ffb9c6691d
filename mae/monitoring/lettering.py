"""Text on pictures, by Pillow: sizes and colours that every picture of ours shares."""

from functools import cache

from PIL import Image, ImageDraw, ImageFont

LINE = 18  # pixels from one line of text to the next
INK, QUIET, PAPER, RULE = (32, 32, 32), (110, 110, 110), (255, 255, 255), (190, 190, 190)
_SIZE = 13  # pixels of the font: what fits LINE


def write(picture: Image.Image, text: str, corner: tuple[int, int], colour: tuple[int, int, int] = INK) -> None:
    """Draws a line of text in place; `corner`: (x, y) of the upper left end of a line that is `LINE` high."""
    x, y = corner
    ImageDraw.Draw(picture).text((x, y + LINE // 2), text, fill=colour, font=_font(), anchor="lm")


def text_width(text: str) -> int:
    """Pixels that a line of text takes."""
    return int(_font().getlength(text)) + 1


@cache
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(_SIZE)
