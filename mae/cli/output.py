"""What becomes of a command whose output nobody takes any more: `python pretrain.py | head`, a closed terminal."""

import codecs
import errno
import io
import os
import signal
import sys


class Output(io.TextIOWrapper):
    """A console stream that a reader who left, or a terminal that is gone, does not turn into an error of the work.

    A broken pipe ends the command as it ends any other program, without a word and with the exit status of SIGPIPE,
    141; what was saved before is complete. After a terminal is gone, which SIGHUP tells, what is written is dropped.
    """

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())  # also for what the interpreter writes at its end
        os.close(nowhere)
        if error.errno == errno.EPIPE:
            # No error of ours: nothing on the way may take it for one, and nothing is to be said.
            raise SystemExit(128 + signal.SIGPIPE)


def show_all(stream: io.TextIOWrapper) -> None:
    """Lets a stream take what its encoding does not have: a file name may hold that.

    It is shown as `\\xd7`; a name beyond ASCII in a locale that knows no more, as the bytes which it is.
    """
    is_unicode = codecs.lookup(stream.encoding).name.startswith("utf")
    stream.reconfigure(errors="backslashreplace" if is_unicode else _NAMES_AS_BYTES)


def _names_as_bytes(error: UnicodeError) -> tuple[bytes, int]:
    """Of an error of encoding: what `os.fsdecode` made of bytes as these bytes, all else with a backslash."""
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    shown = [
        sign.encode("ascii", "surrogateescape" if "\udc80" <= sign <= "\udcff" else "backslashreplace")
        for sign in signs
    ]
    return b"".join(shown), error.end


_NAMES_AS_BYTES = "mae.names_as_bytes"
codecs.register_error(_NAMES_AS_BYTES, _names_as_bytes)


def guard_output() -> None:
    """Makes stdout and stderr `Output`, where they are Python's own; stdout takes names that its encoding lacks."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        show_all(sys.stdout)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper:
            encoding, errors, by_line = stream.encoding, stream.errors, stream.line_buffering
            setattr(sys, name, Output(stream.detach(), encoding, errors, line_buffering=by_line))
