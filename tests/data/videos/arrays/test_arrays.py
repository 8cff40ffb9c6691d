"""Arrays as videos: the frames asked for, nothing else of the file, and one line where it is no video."""

import os

import cv2
import numpy as np
import pytest
import tifffile
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

import mae
from mae.data.lists.folder import index_folder
from mae.data.scan.examine import examine
from mae.data.videos.arrays import numpy_files
from mae.data.videos.arrays.frames_in_file import FramesInFile
from mae.data.videos.decoding import Decoding
from mae.data.videos.read import open_video, read_frames
from mae.errors import BadVideo, ConfigError

SHAPE = (7, 12, 10)


def numbers(shape=SHAPE, dtype="u1", seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def write_dicom(path, frames, **tags):
    """(T, H, W) or (T, H, W, 3), uncompressed."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.NumberOfFrames, made.Rows, made.Columns = frames.shape[:3]
    made.SamplesPerPixel = 1 if frames.ndim == 3 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if frames.ndim == 3 else "RGB"
    if frames.ndim == 4:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = 8 * frames.dtype.itemsize
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(frames.dtype.kind == "i")
    for name, value in tags.items():
        setattr(made, name, value)
    made.PixelData = frames.tobytes()
    made.save_as(path, enforce_file_format=True)
    return path


WRITERS = {
    "npy": lambda path, frames: np.save(path, frames),
    "npz": lambda path, frames: np.savez(path, frames),
    "compressed.npz": lambda path, frames: np.savez_compressed(path, other=np.zeros(3), video=frames),
    "tif": lambda path, frames: tifffile.imwrite(path, frames, photometric=colours(frames)),
    "compressed.tiff": lambda path, frames: tifffile.imwrite(
        path, frames, photometric=colours(frames), compression="deflate"
    ),
    "ome.tif": lambda path, frames: tifffile.imwrite(
        path, frames, ome=True, photometric=colours(frames), metadata={"axes": "ZYX" if frames.ndim == 3 else "TYXS"}
    ),
    "big.tif": lambda path, frames: tifffile.imwrite(
        path, frames, bigtiff=True, byteorder=">", photometric=colours(frames)
    ),
    "dcm": write_dicom,
}  # fmt: skip


def colours(frames):
    return "minisblack" if frames.ndim == 3 else "rgb"


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("shape", [SHAPE, (*SHAPE, 3)])
def test_frames_are_those_of_the_array(tmp_path, ending, shape):
    frames, path = numbers(shape), tmp_path / f"a.{ending}"
    WRITERS[ending](path, frames)
    stored = mae.read_video(path, [5, 0, 5], channels="stored")
    np.testing.assert_array_equal(stored, frames[[5, 0, 5]].reshape(3, 12, 10, -1))
    whole = mae.read_video(path)
    np.testing.assert_array_equal(whole, np.repeat(frames[..., None], 3, -1) if frames.ndim == 3 else frames)
    grey = mae.read_video(path, channels="grey")[..., 0]
    luma = frames if frames.ndim == 3 else np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    np.testing.assert_array_equal(grey, luma)


@pytest.mark.parametrize("ending", ["npy", "npz", "compressed.npz", "tif", "compressed.tiff", "big.tif", "dcm"])
def test_a_window_says_what_is_black_and_white(tmp_path, ending):
    frames, path = numbers(dtype="u2"), tmp_path / f"a.{ending}"
    WRITERS[ending](path, frames)
    seen = mae.read_video(path, channels="stored", window=(1000, 41000))[..., 0]
    np.testing.assert_array_equal(seen, np.rint(np.clip((frames.astype("f8") - 1000) / 40000, 0, 1) * 255))
    with pytest.raises(BadVideo, match=r"an array of uint16; expected uint8, or a window: data.window=\[low,high\]"):
        mae.read_video(path)


def test_floats_of_any_order_of_bytes_and_volumes(tmp_path):
    volume = np.random.default_rng(0).normal(size=SHAPE)
    for dtype in (">f4", "<f2", "f8"):
        np.save(tmp_path / "a.npy", volume.astype(dtype))
        seen = mae.read_video(tmp_path / "a.npy", channels="grey", window=[-2, 2])[..., 0]
        expected = np.rint(np.clip((volume.astype(dtype).astype("f8") + 2) / 4, 0, 1) * 255)
        np.testing.assert_array_equal(seen, expected)
    volume[2, 3, 4] = np.nan
    np.save(tmp_path / "a.npy", volume)
    assert mae.read_video(tmp_path / "a.npy", [1], window=[-2, 2]).shape == (1, 12, 10, 3)
    with pytest.raises(BadVideo, match="not numbers"):
        mae.read_video(tmp_path / "a.npy", [2], window=[-2, 2])


def test_what_a_dicom_file_says_of_its_numbers(tmp_path):
    frames = numbers(dtype="i2") // 16
    path = write_dicom(tmp_path / "ct", frames, RescaleSlope=2, RescaleIntercept=-1024, FrameTime=40)
    assert path.suffix == ""  # told by its content
    seen = mae.read_video(path, [3], channels="grey", window=[-160, 240])[0, ..., 0]
    hounsfield = 2.0 * frames[3] - 1024
    np.testing.assert_array_equal(seen, np.rint(np.clip((hounsfield + 160) / 400, 0, 1) * 255))
    with open_video(str(path), Decoding(window=(0, 1))) as video:
        assert (video.claimed_count, video.frames_per_second) == (7, 25)
    negative = write_dicom(tmp_path / "n.dcm", numbers(), PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(mae.read_video(negative, channels="stored")[..., 0], 255 - numbers())


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [("TCYX", (5, 2, 12, 10), (5, 12, 10, 2)), ("ZYX", (4, 12, 10), (4, 12, 10, 1)), ("YX", (12, 10), (1, 12, 10, 1))],
)
def test_channels_may_be_pages_of_a_stack(tmp_path, axes, shape, expected):
    frames = numbers(shape)
    tifffile.imwrite(tmp_path / "a.tif", frames, imagej=True, metadata={"axes": axes})
    seen = mae.read_video(tmp_path / "a.tif", channels="stored")
    np.testing.assert_array_equal(seen, (np.moveaxis(frames, 1, -1) if "C" in axes else frames).reshape(expected))


@pytest.mark.parametrize("ending", ["npy", "npz", "tif", "dcm"])
def test_only_the_frames_of_a_clip_are_read(tmp_path, ending):
    """Of 64 frames of 64 KiB two are wanted: the system counts what a process reads, be it by `pread` or by `read`."""
    frames, path = numbers((64, 256, 256)), tmp_path / f"a.{ending}"
    WRITERS[ending](path, frames)
    before = _bytes_read()
    seen = mae.read_video(path, [10, 50], channels="stored")[..., 0]
    read = _bytes_read() - before
    np.testing.assert_array_equal(seen, frames[[10, 50]])
    assert read < 8 * 65536 < path.stat().st_size / 4


def _bytes_read():
    with open("/proc/self/io") as file:
        return int(file.readline().split()[1])


def test_a_file_far_larger_than_the_disk_takes(tmp_path):
    """A sparse file: a frame in the middle of 256 GiB."""
    path, shape = tmp_path / "a.npy", (1 << 22, 256, 256)
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        start = file.tell()
        try:
            file.truncate(start + (1 << 38))
        except OSError:
            pytest.skip("the file system has no files of this size")
        file.seek(start + (3 << 36))
        file.write(bytes([7]) * 65536)
    seen = mae.read_video(path, [3 << 20, 5], channels="stored")
    assert (seen[0] == 7).all()
    assert not seen[1].any()


def _cut(path):
    os.truncate(path, path.stat().st_size - 100)


BAD = {
    "cut.npy": (lambda path: (np.save(path, numbers()), _cut(path)), "truncated: 740 bytes of an array of "),
    "text.npy": (lambda path: path.write_text("x" * 200), "no NumPy array: "),
    "object.npy": (
        lambda path: np.save(path, np.array([None] * 3), allow_pickle=True), "Python objects, which are not unpickled",
    ),
    "flat.npy": (lambda path: np.save(path, np.zeros((4, 5), "u1")), r"shape \(4, 5\); expected \(T, H, W\), or"),
    "five.npy": (lambda path: np.save(path, np.zeros((2,) * 5, "u1")), r"expected \(T, H, W\), or \(T, H, W, C\)"),
    "none.npy": (lambda path: np.save(path, np.zeros((0, 4, 4), "u1")), "which is empty; expected at least one frame"),
    "complex.npy": (lambda path: np.save(path, np.zeros(SHAPE, "c8")), "an array of complex64; expected whole numbers"),
    "fortran.npy": (lambda path: np.save(path, np.asfortranarray(numbers())), "in Fortran's order"),
    "many.npz": (lambda path: np.savez(path, a=numbers(), b=numbers()), "2 arrays, a, b; expected one, or one"),
    "cut.npz": (lambda path: (np.savez(path, numbers()), _cut(path)), "a damaged .npz: "),
    "cut.tif": (lambda path: (tifffile.imwrite(path, numbers()), os.truncate(path, 600)), "truncated|no TIFF stack"),
    "two.tif": (
        lambda path: (
            tifffile.imwrite(path, numbers()),
            tifffile.imwrite(path, numbers((9, 5, 5)), append=True),
        ),
        "2 series of pages of other sizes; expected one",
    ),
    "text.tif": (lambda path: path.write_text("x" * 200), "no TIFF stack: "),
    "cut.dcm": (lambda path: (write_dicom(path, numbers()), _cut(path)), "its frames cannot be read: "),
    "text.dcm": (lambda path: path.write_text("x" * 200), "no DICOM file of frames: "),
    "palette.dcm": (
        lambda path: write_dicom(path, numbers(), PhotometricInterpretation="PALETTE COLOR"), "palette colours",
    ),
    "empty.npy": (lambda path: path.touch(), "empty file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_video_is_told_in_one_line(tmp_path, name):
    write, message = BAD[name]
    write(tmp_path / name)
    with pytest.raises(BadVideo, match=message) as caught:
        mae.read_video(tmp_path / name, window=[0, 1])
    assert "\n" not in str(caught.value)
    assert "allow_pickle" not in str(caught.value)
    assert examine(str(tmp_path / name), window=(0, 1)).reason == str(caught.value)


def test_channels_that_do_not_fit(tmp_path):
    np.save(tmp_path / "a.npy", numbers((*SHAPE, 4)))
    with pytest.raises(BadVideo, match=r"4 channels; expected 1 or 3, as data.channels=rgb says"):
        mae.read_video(tmp_path / "a.npy")
    with pytest.raises(BadVideo, match=r"4 channels; expected 2, as data.channels=stored says"):
        read_frames(
            str(tmp_path / "a.npy"), np.arange, lambda _, frame: [frame], decoding=Decoding("pyav", "stored", 2)
        )


def test_a_file_that_is_cut_while_it_is_read(tmp_path):
    np.save(tmp_path / "a.npy", numbers())
    source = numpy_files.open_npy(str(tmp_path / "a.npy"))
    assert isinstance(source, FramesInFile)
    _cut(tmp_path / "a.npy")
    with pytest.raises(BadVideo, match="frame 6: 20 bytes, expected 120"):
        list(source.read([0, 6]))
    source.close()


def test_a_scan_tells_what_an_array_is(tmp_path):
    np.save(tmp_path / "a.npy", numbers(dtype="u2"))
    report = examine(str(tmp_path / "a.npy"), window=(0, 65535))
    assert (report.decoder, report.codec) == ("npy", "uint16 × 1")
    assert (report.width, report.height, report.frames, report.claimed, report.reason) == (10, 12, 7, 7, "")


def test_arrays_in_folders_are_videos_where_there_are_no_others(tmp_path):
    for name in ("walk/a.npy", "walk/b.tif", "run/c.dcm", "run/d.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    index = index_folder(tmp_path)
    assert [os.path.relpath(path, tmp_path) for path in index.paths] == [
        "run/c.dcm",
        "run/d.npz",
        "walk/a.npy",
        "walk/b.tif",
    ]
    assert index.class_names == ("run", "walk")
    (tmp_path / "walk/e.mp4").touch()
    index = index_folder(tmp_path)
    assert [os.path.relpath(path, tmp_path) for path in index.paths] == ["walk/e.mp4"]
    assert "left out" in dict(index.notes)


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", numbers())
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(ConfigError, match=r"TIFF stacks are read by tifffile, which is not installed: .*arrays"):
        mae.read_video(tmp_path / "a.tif")
