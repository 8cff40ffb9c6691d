"""CRC-32C (Castagnoli), the checksum of TensorFlow's files, in NumPy: `zlib` has another polynomial only.

A checksum is the rest of the data, taken as one polynomial over GF(2), divided by the checksum's own. Three steps:

1. Fold. The polynomial divides x^a + x^b + x^c + 1 with (a, b, c) = `_MULTIPLE`, and so, the square of a sum being the
   sum of squares over GF(2), also x^64a + x^64b + x^64c + 1. Hence a 64-bit word may be removed when it is added
   (XOR) to the words a - b, a - c and a places after it: whole slices at once, as fast as the memory. (No such sum of
   four terms is shorter than x^5275: search all pairs b, c for x^b + x^c = x^a + 1.)
2. Halve. Of the words that are left every other one is moved by the length of a word, by tables, and added to the
   next; then in pairs of two words, of four, …
3. The last word is moved by its own length, which makes room for the checksum.

Bytes and bits are in the order in which the checksum takes them, least significant first: words are little-endian.
"""

from functools import lru_cache

import numpy as np

_POLYNOMIAL = 0x82F63B78
_MULTIPLE = (6777, 484, 100)
_A, _B, _C = _MULTIPLE
_BLOCK = _A - _B  # words that are folded at once: none of them is added to another
_BLOCKS = 8  # in the scratch memory, which stays in the processor's cache
_SHORT = 64  # bytes


def masked_crc32c(data: bytes | np.ndarray) -> int:
    """The checksum as TensorFlow's files store it: rotated, with a constant added (LevelDB, `util/crc32c.h`)."""
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes | np.ndarray) -> int:
    """The checksum of bytes, or of an array (n,) uint8."""
    octets = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    if octets.size < _SHORT:
        checksum = 0xFFFFFFFF
        for octet in octets.tolist():
            checksum = checksum >> 8 ^ int(_tables(0)[3][checksum & 0xFF ^ octet])
        return checksum ^ 0xFFFFFFFF
    words = octets[: octets.size // 8 * 8].view("<u8")
    first = words[:_A].copy()
    first[0] ^= 0xFFFFFFFF
    left = np.concatenate([_folded(first, words[_A:]).view(np.uint8), octets[words.size * 8 :]])
    halves = 1 << (-(-left.size // 4) - 1).bit_length()
    padded = np.zeros(4 * halves, np.uint8)  # zeros ahead of the data change nothing
    padded[-left.size :] = left
    rest, level = padded.view("<u4"), 0
    while rest.size > 1:
        rest, level = _moved(rest[0::2], level) ^ rest[1::2], level + 1
    return int(_moved(rest, 0)[0]) ^ 0xFFFFFFFF


def _folded(start: np.ndarray, words: np.ndarray) -> np.ndarray:
    """The few words that `start`, at most `_A` of them, and then `words` are alike to."""
    if start.size < _A:
        return start
    scratch = np.empty(_A + _BLOCKS * _BLOCK, "<u8")
    scratch[:_A] = start
    for position in range(0, words.size, _BLOCKS * _BLOCK):
        some = words[position : position + _BLOCKS * _BLOCK]
        scratch[_A : _A + some.size] = some
        folded = 0
        for folded in range(_BLOCK, some.size + 1, _BLOCK):
            block = scratch[folded - _BLOCK : folded]
            for distance in (_A - _B, _A - _C, _A):
                scratch[folded - _BLOCK + distance : folded + distance] ^= block
        if some.size < _BLOCKS * _BLOCK:
            return scratch[folded : _A + some.size]
        scratch[:_A] = scratch[folded : folded + _A]
    return scratch[:_A]


def _moved(words: np.ndarray, level: int) -> np.ndarray:
    """The rests of 32-bit words (n,) with 32 · 2^level zero bits behind each."""
    octets = np.ascontiguousarray(words).view(np.uint8).reshape(-1, 4)
    first, second, third, fourth = _tables(level)
    return first[octets[:, 0]] ^ second[octets[:, 1]] ^ third[octets[:, 2]] ^ fourth[octets[:, 3]]


@lru_cache(maxsize=32)
def _tables(level: int) -> np.ndarray:
    """(4, 256): what each octet of a word adds to the rest in `_moved`."""
    if level:
        # Twice as far is as far, twice.
        return np.stack([_moved(table, level - 1) for table in _tables(level - 1)])
    table = np.arange(256, dtype="<u4")
    for _ in range(8):
        table = table >> 1 ^ (table & 1) * np.uint32(_POLYNOMIAL)
    tables = [table]
    for _ in range(3):
        tables.append(tables[-1] >> 8 ^ table[tables[-1] & 0xFF])
    return np.stack(tables[::-1])
