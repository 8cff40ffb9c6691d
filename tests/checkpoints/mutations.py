"""Damaged and hostile variations of a file, drawn from a seeded generator: the same ones on every machine."""

import json
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from table_files import make_table

from mae.checkpoints.containers.sorted_table import read_table

# What stands for a number, a name or a table where one was.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 2**31 - 1, 2**32, 2**53, 2**62, 2**63, 2**64, 10**30, -(2**63)),
    *(0.0, 0.5, 1e-300, 1e300, float("nan"), float("inf"), -float("inf")),
    *("", "x", "\0", "../x", "é", "a" * 100_000, "1", "float32", [], {}, [[]], [1] * 9, {"x": {}}, [None], [0, 0]),
)
EXTREMES = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 40,
    1 << 62,
    1 << 63,
    (1 << 64) - 1,
]
# Opcodes that put something on the pickle's stack, take it away, or use it.
OPCODES = [
    *(bytes([code]) for code in b"(012t)]}ldaesuRbQN\x81\x85\x86\x87\x88\x8f\x90\x91."),
    *(b"K\x01", b"M\xff\xff", b"J\xff\xff\xff\xff", b"h\x00", b"h\x01", b"q\x00", b"q\x01"),
    *(b"X\x01\x00\x00\x00a", b"X\xff\xff\xff\x7f", b"cbuiltins\nset\n", b"ccollections\nOrderedDict\n"),
    *(b"ctorch\nSize\n", b"cos\nsystem\n"),
]


def changed_bytes(data: bytes, draw: random.Random) -> bytes:
    """Bytes with one to four places overwritten, cut out, doubled or cut off; places at either end are likelier."""
    made = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        if not made:
            break
        near = draw.randrange(min(len(made), 2048))
        place = draw.choice((near, len(made) - 1 - near, draw.randrange(len(made))))
        kind = draw.randrange(8)
        if kind < 3:
            made[place] = draw.choice((made[place] ^ 1 << draw.randrange(8), 0, 255, draw.randrange(256)))
        elif kind < 5:
            width = draw.choice((2, 4, 8))
            value = draw.choice(EXTREMES) & (1 << 8 * width) - 1
            made[place : place + width] = value.to_bytes(width, draw.choice(("little", "big")))
        elif kind == 5:
            del made[place : place + draw.choice((1, 4, 250))]
        elif kind == 6:
            made[place:place] = made[place : place + draw.choice((1, 16, 500))]
        else:
            del made[place:]
    return bytes(made)


def changed_json(value: Any, draw: random.Random) -> Any:
    """A value with one of its places taken by something else, left out, or nested deep."""
    if isinstance(value, dict) and value and draw.random() < 0.85:
        key = draw.choice(sorted(value))
        if draw.random() < 0.1:
            return {name: inner for name, inner in value.items() if name != key}
        if draw.random() < 0.05:
            return {**value, draw.choice(("x", key + "x", "")): value[key]}
        return {**value, key: changed_json(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.6:
        place = draw.randrange(len(value))
        return [*value[:place], changed_json(value[place], draw), *value[place + draw.choice((0, 1)) :]]
    return draw.choice(VALUES)


def json_text(text: bytes, draw: random.Random) -> bytes:
    """A JSON text, changed as a value or, sometimes, as bytes."""
    if draw.random() < 0.15:
        return changed_bytes(text, draw)
    if draw.random() < 0.05:
        return b'{"a":' * 100_000
    return json.dumps(changed_json(json.loads(text), draw)).encode()


def pickled(data: bytes, draw: random.Random) -> bytes:
    """A pickle with opcodes put in at one to four places; or changed as bytes."""
    if draw.random() < 0.3 or len(data) < 3:
        return changed_bytes(data, draw)
    for _ in range(draw.choice((1, 1, 2, 4))):
        place = draw.randrange(2, len(data))
        data = (
            data[:place]
            + b"".join(draw.choices(OPCODES, k=draw.choice((1, 2, 5))))
            + data[place + draw.choice((0, 1)) :]
        )
    return data


def zipped(path: Path, draw: random.Random, changes: dict[str, Callable[[bytes, random.Random], bytes]]) -> bool:
    """A zip with one member changed or left out and all checksums right; or the whole changed as bytes.

    Args:
        changes: how a member is changed whose name ends so; others stay, as nothing would tell that they changed.

    Returns:
        Whether a member was changed.
    """
    if draw.random() < 0.4:
        path.write_bytes(changed_bytes(path.read_bytes(), draw))
        return False
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    end = draw.choice(sorted(changes))
    name = draw.choice([name for name in sorted(members) if name.endswith(end)])
    members[name] = changes[end](members[name], draw)
    if draw.random() < 0.05:
        del members[draw.choice(sorted(members))]
    with zipfile.ZipFile(path, "w", draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return True


def npy(data: bytes, draw: random.Random) -> bytes:
    """An array with another header; `__meta__`, which is JSON, with another text."""
    start = 10 + struct.unpack_from("<H", data, 8)[0]
    if data[start : start + 1] == b"{" and draw.random() < 0.8:
        text = json_text(data[start:], draw)
        header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({len(text)},), }}".encode().ljust(117) + b"\n"
        return data[:8] + struct.pack("<H", len(header)) + header + text
    return changed_bytes(data[:start], draw) + data[start:]


def index(path: Path, draw: random.Random) -> None:
    """The index of a TensorFlow checkpoint with one row changed and all checksums right; or changed as bytes."""
    if draw.random() < 0.3:
        path.write_bytes(changed_bytes(path.read_bytes(), draw))
        return
    rows = read_table(path)
    key = draw.choice(sorted(rows))
    if draw.random() < 0.1:
        del rows[key]
    else:
        rows[key if draw.random() < 0.9 else changed_bytes(key, draw)] = changed_bytes(rows[key], draw)
    path.write_bytes(make_table(rows))


def safetensors(path: Path, draw: random.Random) -> None:
    """A file with another header; or the beginning changed as bytes. Its tensors, which have no checksums, stay."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    if draw.random() < 0.3:
        path.write_bytes(changed_bytes(data[: 8 + length], draw) + data[8 + length :])
        return
    header = json_text(data[8 : 8 + length], draw)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + length :])


def file(path: Path, draw: random.Random) -> None:
    """Any file, changed as bytes."""
    path.write_bytes(changed_bytes(path.read_bytes(), draw))


def json_file(path: Path, draw: random.Random) -> None:
    """A file of JSON, changed."""
    path.write_bytes(json_text(path.read_bytes(), draw))
