"""Tables whose rows, blocks and places lie, all with right checksums."""

import struct
from pathlib import Path

import pytest
from table_files import make_block, make_table, table_of, varint

from mae.checkpoints.containers.sorted_table import read_table
from mae.errors import ConfigError

END = struct.pack("<II", 0, 1)  # of a block: where whole keys are, and how many


def test_rows_come_back(tmp_path: Path) -> None:
    rows = {b"": b"header", b"a": b"", b"b" * 300: b"x" * 5000}
    (tmp_path / "index").write_bytes(make_table(rows))
    assert read_table(tmp_path / "index") == rows


def test_keys_that_share_their_beginning(tmp_path: Path) -> None:
    block = varint(0) + varint(4) + varint(1) + b"abcd1" + varint(3) + varint(2) + varint(1) + b"ef2" + END
    (tmp_path / "index").write_bytes(table_of(block))
    assert read_table(tmp_path / "index") == {b"abcd": b"1", b"abcef": b"2"}


def row(shared: int, unshared: int, length: int, data: bytes = b"") -> bytes:
    return varint(shared) + varint(unshared) + varint(length) + data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (table_of(row(0, 1 << 31, 1 << 31, b"x" * 10) + END), r"a row claims 0 \+ 2147483648 bytes of a key"),
        (table_of(row(3, 1, 0, b"x") + END), r"a row claims 3 \+ 1 bytes"),
        (table_of(row(0, 1, 0, b"x") + b"\x80" * 11 + END), "cut off, or longer than 64 bits"),
        (table_of(make_block([(b"b", b"1"), (b"a", b"2")])), "not in order"),
        (table_of(make_block([(b"a", b"1"), (b"a", b"2")])), "not in order"),
        (table_of(struct.pack("<I", 1 << 31)), "claims 2147483648 places of whole keys"),
        (table_of(b""), "claims 0 places|places of whole keys"),
        (table_of(make_block([]), kind=b"\1"), "compressed"),
        (table_of(make_block([]), handle=varint(1 << 60) + varint(1 << 60)), "reaches beyond"),
        (table_of(make_block([]), handle=b"\xff" * 9), "cut off"),
        (make_table({})[:-1], "does not end"),
        (b"", "does not end"),
    ],
)
def test_lies(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_table(tmp_path / "index")


def test_more_than_any_checkpoint_has(tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(make_table({b"%08d" % i: b"" for i in range(50_001)}))
    with pytest.raises(ConfigError, match="more than 50000 rows"):
        read_table(tmp_path / "index")
    with open(tmp_path / "index", "wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ConfigError, match="has 1073741824 bytes"):
        read_table(tmp_path / "index")
