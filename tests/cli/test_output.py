"""A reader of the output who left, a terminal that is gone, an interrupt before anything is imported."""

import ast
import errno
import io
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mae.cli.exit_status import end_on_interrupt, exit_statuses
from mae.cli.output import Output, show_all

ROOT = Path(__file__).parents[2]


class Broken(io.RawIOBase):
    """Takes nothing: every write is this error. `fileno` is that of a file, as one is put in its place."""

    def __init__(self, number, descriptor):
        self.number, self.descriptor = number, descriptor

    def writable(self):
        return True

    def fileno(self):
        return self.descriptor

    def write(self, _):
        raise OSError(self.number, os.strerror(self.number))


def broken(number, tmp_path):
    descriptor = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    return Output(io.BufferedWriter(Broken(number, descriptor), 1), encoding="utf-8")


def test_a_reader_who_left_ends_the_command_without_a_word(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended, exit_statuses():
        print("a line", file=broken(errno.EPIPE, tmp_path), flush=True)
    assert ended.value.code == 128 + 13
    assert capsys.readouterr() == ("", "")


def test_a_terminal_that_is_gone_is_written_to_no_more(tmp_path):
    print("a line", file=broken(errno.EIO, tmp_path), flush=True)


def test_a_full_disk_stays_an_error(tmp_path):
    with pytest.raises(OSError, match="No space left"):
        print("a line", file=broken(errno.ENOSPC, tmp_path), flush=True)


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", b"2 \\xd7 lauf_\xc3\xa9"), ("utf-8", b"2 \xc3\x97 lauf_\\udcc3\\udca9")],
)
def test_a_name_beyond_the_locale_is_shown_as_its_bytes(encoding, shown):
    """Where the locale is of UTF-8, such bytes are no text, and would spoil the rest for who reads it as one."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    show_all(stream)
    print("2 × lauf_\udcc3\udca9", file=stream, end="", flush=True)
    assert stream.buffer.getvalue() == shown


def test_a_command_whose_reader_left():
    """Also what is only found when the command ends: `--cfg job` fits into the buffer."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, ROOT / "pretrain.py", "--cfg", "job"], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_interrupt_while_a_command_is_imported():
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from mae.cli.exit_status import end_on_interrupt, exit_statuses\n"
        "end_on_interrupt()\n"
        "with exit_statuses(): print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "print('not reached')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "True\n", "")  # to a shell, 130


RUNS = '\nif __name__ == "__main__":\n    run_command('


def commands():
    """Every file that people run; not what the commands themselves start in other processes."""
    of_mae = [path for path in sorted((ROOT / "mae").rglob("*.py")) if RUNS in path.read_text()]
    return [ROOT / "pretrain.py", ROOT / "finetune.py", *of_mae]


def test_every_command_begins_with_it():
    assert len(commands()) == 13
    for path in commands():
        docstring, first, *_ = ast.parse(path.read_text()).body
        assert isinstance(docstring, ast.Expr)  # and then, before anything is imported that takes time
        name = end_on_interrupt.__name__
        assert ast.unparse(first).endswith(f"import {name}\n    {name}()"), path


def test_installed_programs_begin_with_it():
    """They call functions of `mae.__main__`, which imports a command only then."""
    tree = ast.parse((ROOT / "mae" / "__main__.py").read_text())
    begins = {node.name: ast.unparse(node.body[1]) for node in tree.body if isinstance(node, ast.FunctionDef)}
    programs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(programs) == {"mae", "mae-pretrain", "mae-finetune"}
    for program in programs.values():
        module, _, name = program.partition(":")
        assert (module, begins[name]) == ("mae.__main__", f"{end_on_interrupt.__name__}()")


@pytest.mark.parametrize(("signum", "ends"), [(signal.SIGHUP, True), (signal.SIGTERM, True), (signal.SIGUSR1, False)])
def test_signals_outside_the_training(signum, ends, capsys):
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        code = 0
        try:
            with exit_statuses():
                os.kill(os.getpid(), signum)
        except SystemExit as ended:
            code = ended.code
    finally:
        signal.signal(signal.SIGHUP, before)
    assert code == (128 + signum if ends else 0)
    assert capsys.readouterr().err == ("terminated; what was saved before is complete\n" if ends else "")
