"""Sorted tables as LevelDB's, written; the reader is the package's."""

import struct

from mae.checkpoints.containers.crc32c import masked_crc32c
from mae.checkpoints.containers.sorted_table import MAGIC


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def make_block(rows: list[tuple[bytes, bytes]]) -> bytes:
    """One block, every key whole."""
    body, starts = b"", []
    for key, value in rows:
        starts.append(len(body))
        body += varint(0) + varint(len(key)) + varint(len(value)) + key + value
    return body + struct.pack(f"<{max(len(starts), 1) + 1}I", *(starts or [0]), len(starts) or 1)


def table_of(block: bytes, last_key: bytes = b"\xff", kind: bytes = b"\0", handle: bytes | None = None) -> bytes:
    """A file around one block, checksums right; `handle` stands in the index instead of the block's own place."""
    out = b""

    def put(block: bytes, kind: bytes = b"\0") -> bytes:
        nonlocal out
        place = varint(len(out)) + varint(len(block))
        out += block + kind + struct.pack("<I", masked_crc32c(block + kind))
        return place

    place = put(block, kind)
    meta = put(make_block([]))
    index = put(make_block([(last_key, place if handle is None else handle)]))
    return out + (meta + index).ljust(40, b"\0") + MAGIC


def make_table(rows: dict[bytes, bytes]) -> bytes:
    """A file with these rows."""
    return table_of(make_block(sorted(rows.items())))
