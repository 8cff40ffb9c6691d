"""Files at addresses, here in memory: copies that several share, and that are kept below a size."""

import os
import threading
import time

import fsspec
import pytest
from list_files import message_of

from mae.data.remote import copies as module
from mae.data.remote.copies import Copies, exists_at, local_file, local_list
from mae.errors import BadVideo, ConfigError


@pytest.fixture
def memory():
    """The files in memory, none at first."""
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/", recursive=True)


def put(memory, **contents):
    for name, content in contents.items():
        memory.pipe_file(f"/b/{name}.mp4", content)


def there(folder):
    """The contents of the copies."""
    return sorted(path.read_bytes() for path in folder.glob("*/*") if path.name != "lock")


def reason_of(copies, address, **more):
    with pytest.raises(BadVideo) as error, copies.copy(address, **more):
        pass
    return str(error.value)


def test_a_copy_is_fetched_once_and_keeps_its_ending(memory, tmp_path):
    put(memory, a=b"one")
    copies = Copies(tmp_path / "new" / "c")
    with copies.copy("memory://b/a.mp4") as path:
        assert path.suffix == ".mp4"
        assert path.read_bytes() == b"one"
        modified = path.stat().st_mtime_ns
    put(memory, a=b"two")
    with copies.copy("memory://b/a.mp4") as path:
        assert (path.read_bytes(), path.stat().st_mtime_ns) == (b"one", modified), "reading it changes no key of it"
    with copies.copy("memory://b/a.mp4", version="later") as path:
        assert path.read_bytes() == b"two"


def test_what_was_read_first_goes_first_and_what_is_being_read_stays(memory, tmp_path):
    put(memory, **{name: name.encode() * 400 for name in "abcd"})
    copies = Copies(tmp_path, gigabytes=1e-6)  # 1000 bytes

    def read(name):
        with copies.copy(f"memory://b/{name}.mp4") as path:
            time.sleep(0.01)  # file systems tell times this far apart
            return path.read_bytes()[:1]

    read("a"), read("b"), read("a")
    read("c")
    assert there(tmp_path) == [b"a" * 400, b"c" * 400]
    with Copies(tmp_path).copy("memory://b/a.mp4") as held:
        read("c"), read("d")
        assert held.exists()
        assert there(tmp_path) == [b"a" * 400, b"d" * 400], "a was read before c, but is held"


def test_a_part_that_nobody_writes_any_more_is_removed(memory, tmp_path):
    put(memory, a=b"one")
    for name, age in {".old.mp4.1.tmp.mp4": module._ABANDONED_S + 60, ".new.mp4.1.tmp.mp4": 0}.items():
        (tmp_path / "abc").mkdir(exist_ok=True)
        (tmp_path / "abc" / name).write_bytes(b"part")
        os.utime(tmp_path / "abc" / name, (time.time() - age,) * 2)
    with Copies(tmp_path).copy("memory://b/a.mp4"):
        assert there(tmp_path) == [b"one", b"part"]


def test_many_that_want_a_file_fetch_it_once(memory, tmp_path, monkeypatch):
    put(memory, a=b"one")
    fetched = []
    download = module._download
    monkeypatch.setattr(module, "_download", lambda *where: (fetched.append(where), time.sleep(0.05), download(*where)))

    def read():
        with Copies(tmp_path).copy("memory://b/a.mp4") as path:
            assert path.read_bytes() == b"one"

    threads = [threading.Thread(target=read) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(fetched) == 1


def test_what_cannot_be_fetched_is_a_bad_video(memory, tmp_path, monkeypatch):
    put(memory, a=b"one")
    copies = Copies(tmp_path, pauses=(0, 0))
    assert reason_of(copies, "memory://b/none.mp4") == "missing"
    assert reason_of(copies, "memory://b").startswith("a folder at an address, not a file")
    assert reason_of(copies, "nosuch://b/a.mp4").startswith("no address that can be read: Protocol not known: nosuch")
    calls = []

    def drop(files, name, target, fails=2):
        calls.append(name)
        with open(target, "wb") as file:
            file.write(b"o" if len(calls) <= fails else b"one")
        if len(calls) == 1:
            raise ConnectionResetError("Connection reset by peer")

    monkeypatch.setattr(type(memory), "get_file", drop)
    with copies.copy("memory://b/a.mp4") as path:
        assert (path.read_bytes(), len(calls)) == (b"one", 3), "the second time it ended early"
    calls[:] = [""]
    monkeypatch.setattr(type(memory), "get_file", lambda *arguments: drop(*arguments, fails=9))
    assert reason_of(copies, "memory://b/a.mp4", version="2") == "cannot be fetched: 1 of 3 bytes came"
    assert there(tmp_path) == [b"one"]


def test_a_fetch_that_takes_too_long(memory, tmp_path, monkeypatch):
    put(memory, a=b"one")
    going = threading.Event()
    monkeypatch.setattr(module, "_download", lambda *_: going.wait(10))
    assert reason_of(Copies(tmp_path), "memory://b/a.mp4", timeout_s=0.05) == "not fetched within 0.05 s"
    going.set()


def test_mistakes_are_told_in_a_line(memory, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    put(memory, a=b"one")
    with pytest.raises(ConfigError, match=r"file cannot be written .*data.remote_cache= names another folder"):
        Copies(tmp_path / "file").copy("memory://b/a.mp4").__enter__()
    monkeypatch.setattr(module, "_copies", Copies(tmp_path / "c"))
    message = message_of(local_list("memory://b/none.csv").__enter__)
    assert message == "the list memory://b/none.csv cannot be read (missing)"
    assert exists_at("memory://b/a.mp4")
    assert not exists_at("memory://b/none.mp4")

    def lacks(_):
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(fsspec.core, "url_to_fs", lacks)
    assert message_of(exists_at, "gs://b/a.mp4") == "gs://b/a.mp4: Please install gcsfs to access Google Storage"
    with local_file("/a/path.mp4") as path:
        assert path == "/a/path.mp4"
