"""A picture of a confusion matrix, readable with two classes and with four hundred. NumPy and OpenCV only."""

from collections.abc import Sequence

import cv2
import numpy as np

MARGIN = 12  # pixels around everything
LINE = 19  # pixels from one line of text to the next
NAME_CELL = 16  # pixels a cell must have for its class to be named beside it
VALUE_CELL = 34  # … and for its share to be written into it
LONGEST_NAME = 28  # characters; longer ones are cut
PAIRS = 12  # confused pairs listed below the matrix
INK, PAPER, RULE = (32, 32, 32), 255, (170, 170, 170)
RIGHT, WRONG, EMPTY = (24, 78, 160), (190, 30, 30), (228, 228, 228)  # of a share of 1; of rows without a video
_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45


def confusion_picture(confusion: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """One sheet: rows are true classes, columns what they were taken for, colours the share of the row.

    What is right is blue, what is wrong red; below stand the pairs that are most often confused. Few classes are
    named along both sides and their shares written out in percent, many have their numbers at regular places.

    Args:
        confusion: (C, C) counts of videos.
        class_names: C names.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    classes = len(confusion)
    if confusion.shape != (classes, classes) or len(class_names) != classes:
        raise ValueError(f"a confusion matrix {confusion.shape} and {len(class_names)} names do not fit")
    names = [_shown(name) for name in class_names]
    cell = cell_size(classes)
    rows, columns = (names, names) if cell >= NAME_CELL else (_numbers(classes, cell), _numbers(classes, cell))
    matrix = _matrix(confusion, cell)
    left = _strip(rows, cell, ends_at_cells=True)
    top = cv2.rotate(_strip(columns, cell, ends_at_cells=False), cv2.ROTATE_90_COUNTERCLOCKWISE)
    grid = np.concatenate([left, matrix], axis=1)
    above = np.pad(top, ((0, 0), (left.shape[1], 0), (0, 0)), constant_values=PAPER)
    total, right = int(confusion.sum()), int(np.trace(confusion))
    share = f", {right} of them right ({right / total:.1%})" if total else ""
    shares = "numbers: percent of the row, that is of a class's videos" if cell >= VALUE_CELL else ""
    head = _lines([
        f"{total} evaluated videos of {classes} classes{share}",
        "rows: true class, columns: predicted class",
        shares or "colours: share of the row, that is of a class's videos",
    ])  # fmt: skip
    sheet = _below([head, above, grid, _lines(["", *_confused(confusion, names)])])
    return np.pad(sheet, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=PAPER)


def cell_size(classes: int) -> int:
    """Pixels of one cell: what makes a matrix of about 1200 pixels, and no more than 48."""
    return int(np.clip(1200 // classes, 1, 48))


def colours(confusion: np.ndarray) -> np.ndarray:
    """(C, C) counts → (C, C, 3) uint8: white to blue on the diagonal, to red elsewhere, by the share of the row."""
    totals = confusion.sum(axis=1, keepdims=True)
    # The root lifts what is rare: with many classes a confusion of a few percent is the thing to see.
    strength = np.sqrt(confusion / np.maximum(totals, 1))[..., None]
    full = np.where(np.eye(len(confusion), dtype=bool)[..., None], np.array(RIGHT), np.array(WRONG))
    picture = PAPER + strength * (full - PAPER)
    return np.where(totals[..., None] > 0, picture, np.array(EMPTY)).round().astype(np.uint8)


def _matrix(confusion: np.ndarray, cell: int) -> np.ndarray:
    picture = np.ascontiguousarray(colours(confusion).repeat(cell, axis=0).repeat(cell, axis=1))
    if cell >= NAME_CELL:
        picture[::cell], picture[:, ::cell] = RULE, RULE
    if cell >= VALUE_CELL:
        totals = np.maximum(confusion.sum(axis=1), 1)
        for row, column in np.argwhere(confusion):
            share = confusion[row, column] / totals[row]
            text = f"{100 * share:.0f}"
            x = column * cell + (cell - _width(text)) // 2
            _write(picture, text, x, row * cell + cell // 2 + 5, (255, 255, 255) if share > 0.4 else INK)
    return cv2.copyMakeBorder(picture, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=RULE)


def _strip(labels: Sequence[str], cell: int, ends_at_cells: bool) -> np.ndarray:
    """Labels beside cells below each other, right- or left-aligned; an empty label leaves its place free."""
    width = max(map(_width, labels)) + 8
    height = cell * len(labels) + 2
    strip = np.full((height, width, 3), PAPER, np.uint8)
    for i, label in enumerate(labels):
        y = min(max(i * cell + cell // 2 + 5, 10), height - 2)
        _write(strip, label, width - 6 - _width(label) if ends_at_cells else 6, y)
    return strip


def _numbers(classes: int, cell: int) -> list[str]:
    """Class numbers at round places far enough apart to be read."""
    step = next(step for step in (5, 10, 20, 50, 100, 1000) if step * cell >= 1.5 * LINE)
    return [str(i) if i % step == 0 else "" for i in range(classes)]


def _confused(confusion: np.ndarray, names: Sequence[str]) -> list[str]:
    """The largest counts off the diagonal, as lines of text."""
    wrong = confusion * (1 - np.eye(len(confusion), dtype=confusion.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True) if wrong[i, j]]
    if not pairs:
        return ["nothing was confused"]
    numbered = [f"{names[i]} [{i}] taken for {names[j]} [{j}]: {wrong[i, j]} of {confusion[i].sum()}" for i, j in pairs]
    return ["most often confused (class numbers in brackets)", *numbered]


def _shown(name: str) -> str:
    # OpenCV's font has ASCII only.
    text = " ".join(str(name).encode("ascii", "replace").decode().split())
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 2] + ".."


def _lines(lines: Sequence[str]) -> np.ndarray:
    sheet = np.full((LINE * len(lines) + 6, max(map(_width, lines)) + 4, 3), PAPER, np.uint8)
    for i, line in enumerate(lines):
        _write(sheet, line, 0, LINE * (i + 1) - 5)
    return sheet


def _below(pictures: Sequence[np.ndarray]) -> np.ndarray:
    width = max(picture.shape[1] for picture in pictures)
    padded = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=PAPER) for p in pictures]
    return np.concatenate(padded)


def _write(sheet: np.ndarray, text: str, x: int, y: int, colour: tuple[int, int, int] = INK) -> None:
    cv2.putText(sheet, text, (x, y), _FONT, _SCALE, colour, 1, cv2.LINE_AA)


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _SCALE, 1)[0][0])
