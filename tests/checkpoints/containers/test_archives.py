"""Zips that try to write elsewhere, to fill the disk, or are damaged."""

import stat
import struct
import tempfile
import zipfile
from pathlib import Path

import pytest

from mae.checkpoints.containers import archives
from mae.checkpoints.containers.archives import unpacked
from mae.errors import ConfigError


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def nothing_is_left(folder: Path) -> bool:
    return not list((folder / "temporary").iterdir()) and {entry.name for entry in folder.iterdir()} <= {
        "temporary",
        "model.zip",
    }


@pytest.mark.parametrize("enclosing", ["", "model/", "releases/model/"])
def test_unpacks_and_removes(enclosing: str, tmp_path: Path) -> None:
    members = {
        "README": b"x",
        f"{enclosing}saved_model.pb": b"graph",
        f"{enclosing}variables/variables.index": b"index",
    }
    with unpacked(zipped(tmp_path / "model.zip", members)) as folder:
        assert (folder / "saved_model.pb").read_bytes() == b"graph"
        assert (folder / "variables" / "variables.index").read_bytes() == b"index"
    assert nothing_is_left(tmp_path)


def test_an_error_within_the_block_passes_and_cleans_up(tmp_path: Path) -> None:
    path = zipped(tmp_path / "model.zip", {"folder/": b"", "a": b"1"})
    with pytest.raises(RuntimeError, match="mine"), unpacked(path):
        raise RuntimeError("mine")
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/out", "..", "a\\..\\out", "C:/out", "C:out"])
def test_no_name_leads_outside(name: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "model.zip", {"first": b"1", name: b"2"})
    with pytest.raises(ConfigError, match="would be written outside"), unpacked(path):
        pass
    assert nothing_is_left(tmp_path)


def test_no_links(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("variables")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr(link, "/tmp")
        archive.writestr("variables/out", b"2")
    with pytest.raises(ConfigError, match="is a link"), unpacked(tmp_path / "model.zip"):
        pass
    assert nothing_is_left(tmp_path)


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "model.zip", {"zeros": bytes(20 << 20)})
    assert path.stat().st_size < 30_000
    with pytest.raises(ConfigError, match=r"grows 20\d+ bytes to 20971520, like a zip bomb"), unpacked(path):
        pass
    zipped(path, {"a": b"12345", "b": b"12345"})
    monkeypatch.setattr(archives, "MAX_TOTAL", 9)
    with pytest.raises(ConfigError, match="unpacks to 10 bytes, like a zip bomb"), unpacked(path):
        pass
    assert nothing_is_left(tmp_path)


def directory_field(path: Path, offset: int, form: str, value: int) -> None:
    """Changes a field of the first entry in a zip's directory."""
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, data.index(b"PK\x01\x02") + offset, value)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("offset", "form", "value", "message"),
    [
        (8, "<H", 1, "is encrypted"),
        (10, "<H", 14, "compression method 14"),
        (16, "<I", 1, "damaged"),  # checksum
        (20, "<I", 1 << 30, "two different sizes"),
        (24, "<I", 500_000, "two different sizes"),
        (42, "<I", 10, "damaged"),  # offset
    ],
)
def test_a_directory_that_lies(offset: int, form: str, value: int, message: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "model.zip", {"a": bytes(1000), "b": b"x"}, zipfile.ZIP_STORED)
    directory_field(path, offset, form, value)
    with pytest.raises(ConfigError, match=message), unpacked(path):
        pass
    assert nothing_is_left(tmp_path)


def test_overlapping_members(tmp_path: Path) -> None:
    path = zipped(tmp_path / "model.zip", {"a": bytes(range(256)) * 8, "b": b"x"}, zipfile.ZIP_STORED)
    directory_field(path, 20, "<I", 9000)
    directory_field(path, 24, "<I", 9000)
    with pytest.raises(ConfigError, match="more than the file has"), unpacked(path):
        pass


def test_truncated_anywhere_and_not_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    with pytest.raises(ConfigError, match="no file at"), unpacked(path):
        pass
    whole = zipped(path, {"saved_model.pb": bytes(range(256)), "b": b"x" * 99}).read_bytes()
    for kept in [*range(0, len(whole), 13), len(whole) - 1]:
        path.write_bytes(whole[:kept])
        with pytest.raises(ConfigError, match="damaged or no zip file"), unpacked(path):
            pass
    changed = bytearray(whole)
    changed[50] ^= 1
    path.write_bytes(changed)
    with pytest.raises(ConfigError, match="damaged"), unpacked(path):
        pass
    assert nothing_is_left(tmp_path)


def test_a_name_twice(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"2")
    with pytest.raises(ConfigError, match="two members of one name"), unpacked(tmp_path / "model.zip"):
        pass


def test_a_zip_that_is_small_only_as_a_whole(tmp_path: Path) -> None:
    """Each member is within the ratio of one; all together are not."""
    members = {f"m{i}": bytes(range(256)) * 2 + bytes(400_000) for i in range(200)}
    path = zipped(tmp_path / "model.zip", members)
    with (
        pytest.raises(ConfigError, match=r"unpack to \d+ bytes, like a zip bomb; expected at most 67108864"),
        unpacked(path),
    ):
        pass


def test_a_list_of_members_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    """`zipfile` makes an object of every row, whatever the file says of their number."""
    path = zipped(tmp_path / "model.zip", {"a": b""}, zipfile.ZIP_STORED)
    whole = path.read_bytes()
    start = whole.index(b"PK\x01\x02")
    end = whole.index(b"PK\x05\x06")
    rows = whole[start:end] * 200_000
    last = bytearray(whole[end:])
    struct.pack_into("<I", last, 12, len(rows))
    path.write_bytes(whole[:start] + rows + last)
    with pytest.raises(ConfigError, match="a list of members of 9400000 bytes"), unpacked(path):
        pass
