"""DICOM files of several frames, read frame by frame by `pydicom`.

Numbers are what the file means by them: rescaled by its slope and intercept (Hounsfield units of a CT) where it has
any. Where low values are to be shown bright (MONOCHROME1), they are.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mae.data.videos.arrays.array_video import ArraySource
from mae.data.videos.arrays.needed import library_for
from mae.errors import BadVideo, one_line

DICOM_START = b"DICM"  # behind 128 bytes of anything
PREAMBLE = 128

_Rescale = tuple[float, float]  # slope and intercept


def open_dicom(path: str) -> ArraySource:
    """The frames of a DICOM file.

    Raises:
        BadVideo: damaged, without pixels, or of colours that are numbers of a palette.
        ConfigError: `pydicom` is not installed.
    """
    pydicom = library_for("DICOM files", "pydicom")
    try:
        return _DicomFrames(path, pydicom.dcmread(path, stop_before_pixels=True))
    except BadVideo:
        raise
    except Exception as error:  # a damaged file raises whatever its numbers lead to
        raise BadVideo(f"no DICOM file of frames: {one_line(error) or type(error).__name__}") from error


class _DicomFrames:
    """See `ArraySource`."""

    def __init__(self, path: str, dataset: Any) -> None:
        shown_as = str(dataset.get("PhotometricInterpretation", ""))
        if not shown_as or "Rows" not in dataset:
            raise BadVideo("a DICOM file without pictures; expected one with frames")
        if shown_as == "PALETTE COLOR":
            raise BadVideo("a DICOM file of palette colours; expected grey levels or RGB")
        self._path = path
        self.low_is_bright = shown_as == "MONOCHROME1"
        frames = int(dataset.get("NumberOfFrames", 1) or 1)
        self._rescales = _rescales(dataset, frames)
        samples = int(dataset.SamplesPerPixel)
        picture = (int(dataset.Rows), int(dataset.Columns))
        self.shape: tuple[int, ...] = (frames, *picture) if samples == 1 else (frames, *picture, samples)
        is_rescaled = any(rescale != (1, 0) for rescale in self._rescales)
        self.dtype = np.dtype(np.float64) if is_rescaled else _stored_type(dataset)
        self.frames_per_second = _rate(dataset)

    def read(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        if not numbers:
            return
        pixels = library_for("DICOM files", "pydicom.pixels")
        try:
            read = pixels.iter_pixels(self._path, indices=numbers)
            for number, frame in zip(numbers, read, strict=True):
                slope, intercept = self._rescales[number if len(self._rescales) > 1 else 0]
                yield frame * slope + intercept if self.dtype == np.float64 else frame
        except Exception as error:  # as above, and where no decoder for its compression is installed
            raise BadVideo(f"its frames cannot be read: {one_line(error) or type(error).__name__}") from error

    def close(self) -> None:
        pass  # `iter_pixels` opens the file and closes it


def _stored_type(dataset: Any) -> np.dtype[Any]:
    pixels: Any = library_for("DICOM files", "pydicom.pixels.utils")
    made: np.dtype[Any] = pixels.pixel_dtype(dataset).newbyteorder("=")
    return made


def _rescales(dataset: Any, frames: int) -> list[_Rescale]:
    """Slope and intercept, of all frames or of each."""
    if "RescaleSlope" in dataset:
        return [_rescale(dataset)]
    shared = _groups(dataset.get("SharedFunctionalGroupsSequence"))
    if shared and shared[0] is not None:
        return [_rescale(shared[0])]
    each = _groups(dataset.get("PerFrameFunctionalGroupsSequence"))
    if len(each) == frames and frames and None not in each:
        return [_rescale(group) for group in each]
    return [(1, 0)]


def _groups(sequence: Any) -> list[Any]:
    """What each functional group says of values; None where it says nothing."""
    values = [group.get("PixelValueTransformationSequence") for group in sequence or ()]
    return [value[0] if value else None for value in values]


def _rescale(dataset: Any) -> _Rescale:
    return float(dataset.RescaleSlope), float(dataset.get("RescaleIntercept", 0))


def _rate(dataset: Any) -> float | None:
    """Frames per second, where the file tells how long a frame lasts."""
    milliseconds, rate = dataset.get("FrameTime"), dataset.get("CineRate") or dataset.get("RecommendedDisplayFrameRate")
    if milliseconds:
        return 1000 / float(milliseconds)
    return float(rate) if rate else None
