"""The checksum against the vectors of its standard, and bit by bit against its definition."""

import numpy as np
import pytest

from mae.checkpoints.containers.crc32c import crc32c

POLYNOMIAL = 0x82F63B78  # RFC 3720, 12.1, bits reversed


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_vectors_of_rfc_3720(data, expected):
    assert crc32c(data) == expected


def by_definition(data):
    table = []
    for octet in range(256):
        for _ in range(8):
            octet = octet >> 1 ^ (POLYNOMIAL if octet & 1 else 0)
        table.append(octet)
    rest = 0xFFFFFFFF
    for octet in data:
        rest = rest >> 8 ^ table[(rest ^ octet) & 0xFF]
    return rest ^ 0xFFFFFFFF


# Around the sizes at which the computation changes: 64 bytes, 6777 words, 6293 more, eight times that.
SIZES = [1, 63, 64, 65, 100, *(8 * 6777 + n for n in (-1, 0, 5)), *(8 * 13070 + n for n in (-8, -1, 0, 11)),
         8 * (6777 + 8 * 6293), 8 * (6777 + 8 * 6293) + 9, 8 * (6777 + 16 * 6293), 1_000_003]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_sizes(size):
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    assert crc32c(data) == crc32c(data.tobytes()) == by_definition(data.tobytes())
