"""Protocol buffers, as far as TensorFlow's checkpoints need them: the fields of one message, without its definition."""

from collections.abc import Iterator

from mae.errors import ConfigError

MAX_FIELDS = 500_000  # of all messages of a file; an object graph has some hundred for each weight
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_MAX_VARINT = 10  # octets, of 64 bits


def read_varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """A number of up to 64 bits at a position, and where the next thing begins.

    Raises:
        ConfigError: it is longer, or the data end within it.
    """
    number = 0
    for index, octet in enumerate(data[position : position + _MAX_VARINT]):
        number |= (octet & 0x7F) << 7 * index
        if octet < 0x80:
            return number & (1 << 64) - 1, position + index + 1
    raise ConfigError("a number in it is cut off, or longer than 64 bits")


def signed(number: int) -> int:
    """A number of 64 bits as a message means it where its definition says int32 or int64."""
    return number - (1 << 64) if number >> 63 else number


class Budget:
    """How many fields may still be read."""

    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def fields(self, message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Number and value of each field of a message, in order: an int, or the bytes of a text or another message.

        Raises:
            ConfigError: damaged, or too many fields.
        """
        position = 0
        while position < len(message):
            self._left -= 1
            if self._left < 0:
                raise ConfigError(f"it has more than {MAX_FIELDS} fields, which no model has")
            key, position = read_varint(message, position)
            number, kind = key >> 3, key & 7
            value: int | memoryview
            if kind == _VARINT:
                value, position = read_varint(message, position)
            else:
                if kind == _BYTES:
                    length, position = read_varint(message, position)
                elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
                    length = 8 if kind == _EIGHT_BYTES else 4
                else:
                    raise ConfigError(f"it has a field of the unknown kind {kind}")
                value, position = message[position : position + length], position + length
                if position > len(message):
                    raise ConfigError(f"a field of {length} bytes reaches beyond its message")
                if kind != _BYTES:
                    value = int.from_bytes(value, "little")
            yield number, value
