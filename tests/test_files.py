import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mae import files
from mae.errors import ConfigError
from mae.files import abandoned, cache_directory, creating, replacing


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_the_place_of_another_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new folder" / "a.csv"
    with replacing(path) as temporary:
        assert not path.exists()
        assert temporary.suffix == ".csv"
        temporary.write_text("first")
    with replacing(path) as temporary:
        temporary.write_text("second, half")
        assert path.read_text() == "first"
        temporary.write_text("second, whole")
    assert path.read_text() == "second, whole"
    assert names(path.parent) == ["a.csv"]


def fail_within(opened, write):
    with opened as temporary:
        write(temporary)
        raise KeyError


def test_a_failure_leaves_the_earlier_file(tmp_path):
    (tmp_path / "a").write_text("first")
    with pytest.raises(KeyError):
        fail_within(replacing(tmp_path / "a"), lambda temporary: temporary.write_text("half"))
    assert (tmp_path / "a").read_text() == "first"
    assert names(tmp_path) == ["a"]


def test_whoever_might_read_a_new_file_may_read_a_written_one(tmp_path):
    (tmp_path / "touched").touch()
    with replacing(tmp_path / "written") as temporary:
        temporary.write_text("x")
        temporary.chmod(0o600)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("touched", "written")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("write", [replacing, creating])
def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch, write):
    path, synced = tmp_path / "a.bin", []
    fsync = os.fsync

    def noted(descriptor):
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", noted)
    with write(path) as temporary:
        temporary.write_bytes(b"x")
    assert synced == [(str(temporary), False), (str(tmp_path), True)]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with creating(tmp_path / "model") as temporary:
        (temporary / "variables").mkdir(parents=True)
        (temporary / "variables" / "0").write_text("x")
        assert not (tmp_path / "model").exists()
    assert names(tmp_path / "model") == ["variables"]
    with pytest.raises(KeyError):
        fail_within(creating(tmp_path / "other"), Path.mkdir)
    assert names(tmp_path) == ["model"]


def test_nothing_is_created_over_something_else(tmp_path):
    (tmp_path / "there").touch()
    with pytest.raises(ConfigError, match="there exists already"), creating(tmp_path / "there"):
        pytest.fail("nothing may be written")
    with pytest.raises(ConfigError, match=r"there is no folder \S+/no$"), creating(tmp_path / "no" / "x"):
        pytest.fail("nothing may be written")


def test_what_a_killed_process_leaves_is_found(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from mae.files import replacing\n"
        "for name in ('a.npz', 'b', 'c.csv'):\n"
        "    if os.fork() == 0:\n"
        "        with replacing(Path(sys.argv[1]) / name) as temporary:\n"
        "            temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "    os.wait()"
    )
    for name in ("a.npz", ".hidden", "x.tmp", ".x.tmp", "y.4711.tmp"):
        (tmp_path / name).touch()
    before = set(tmp_path.iterdir())
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    left = set(tmp_path.iterdir()) - before
    assert len(left) == 3
    assert set(abandoned(tmp_path)) == left
    assert {path.name[:3] for path in abandoned(tmp_path, r"b|.+\.npz|c")} == {".a.", ".b."}
    assert abandoned(tmp_path / "absent") == []


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("/somewhere/else", "/somewhere/else/mae-video"),
        (None, "{home}/.cache/mae-video"),
        ("", "{home}/.cache/mae-video"),
        ("~/mine", "{home}/mine/mae-video"),
        ("below", "{here}/below/mae-video"),
    ],
)
def test_caches_lie_where_they_always_lay(tmp_path, monkeypatch, named, expected):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/of/somebody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if named is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert cache_directory() == Path(expected.format(home="/home/of/somebody", here=tmp_path))
