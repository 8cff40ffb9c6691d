"""What becomes of a command whose output nobody takes any more: `python pretrain.py | head`, a closed terminal."""

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


def guard_output() -> None:
    """Makes stdout and stderr `Output`, where they are Python's own."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper:
            encoding, errors, by_line = stream.encoding, stream.errors, stream.line_buffering
            setattr(sys, name, Output(stream.detach(), encoding, errors, line_buffering=by_line))
