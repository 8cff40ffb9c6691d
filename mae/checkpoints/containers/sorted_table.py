"""Sorted tables of keys and values as LevelDB writes them, which the index of a TensorFlow checkpoint is.

The file is a row of blocks, each followed by the kind of its compression (one byte) and a checksum of both. A block
holds entries: how many bytes of the key are those of the key before, how many follow, how long the value is, then
these bytes and the value; and at its end the places where keys are whole, and their number. The last 48 bytes say
where the index block is, whose values say where the other blocks are.
"""

from collections.abc import Iterator
from pathlib import Path

from mae.checkpoints.containers.crc32c import masked_crc32c
from mae.checkpoints.containers.protobuf import read_varint
from mae.errors import ConfigError

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")  # ends the file
_FOOTER = 48  # bytes
_TRAILER = 5  # bytes after a block
_MAX_FILE = 16 << 20  # bytes; the index of the largest released model has 60 kB
_MAX_ROWS = 50_000
_MAX_KEY = 4096  # bytes


def read_table(path: Path) -> dict[bytes, bytes]:
    """All rows, checksums verified.

    Raises:
        ConfigError: damaged, compressed, or larger than any checkpoint's index.
    """
    if (size := path.stat().st_size) > _MAX_FILE:
        raise ConfigError(f"it has {size} bytes; expected at most {_MAX_FILE}")
    data = path.read_bytes()
    if len(data) < _FOOTER or not data.endswith(MAGIC):
        raise ConfigError("it does not end as such a table does")
    _, position = _place(data, len(data) - _FOOTER)
    index, _ = _place(data, position)
    rows: dict[bytes, bytes] = {}
    last = b""
    for _, handle in _rows(_block(data, *index)):
        place, _ = _place(handle, 0)
        for key, value in _rows(_block(data, *place)):
            if rows and key <= last:
                raise ConfigError("its keys are not in order")
            rows[key], last = value, key
            if len(rows) > _MAX_ROWS:
                raise ConfigError(f"it has more than {_MAX_ROWS} rows")
    return rows


def _place(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Where a block begins and how long it is, written at a position; and where that ends."""
    start, position = read_varint(data, position)
    length, position = read_varint(data, position)
    return (start, length), position


def _block(data: bytes, start: int, length: int) -> bytes:
    end = start + length
    if end + _TRAILER > len(data) - _FOOTER:
        raise ConfigError(f"a block of {length} bytes at {start} reaches beyond its {len(data)} bytes")
    if masked_crc32c(data[start : end + 1]) != int.from_bytes(data[end + 1 : end + _TRAILER], "little"):
        raise ConfigError(f"the checksum of the block at {start} is wrong")
    if data[end]:
        raise ConfigError(f"its blocks are compressed (kind {data[end]}), which TensorFlow's checkpoints are not")
    return data[start:end]


def _rows(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise ConfigError(f"a block of {len(block)} bytes claims {restarts} places of whole keys")
    key, position = b"", 0
    while position < end:
        shared, position = read_varint(block, position)
        unshared, position = read_varint(block, position)
        length, position = read_varint(block, position)
        if shared > len(key) or shared + unshared > _MAX_KEY or position + unshared + length > end:
            raise ConfigError(
                f"a row claims {shared} + {unshared} bytes of a key and {length} of a value, with {end - position} left"
            )
        key = key[:shared] + block[position : position + unshared]
        position += unshared + length
        yield key, block[position - length : position]
