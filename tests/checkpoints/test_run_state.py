import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_pretrainer

from mae.checkpoints.run_state import Checkpoint, Checkpoints, assign_arrays, read_checkpoint, variables_to_arrays
from mae.errors import ConfigError


def arrays(value=0.0):
    return {"a/kernel": np.full((3, 2), value, "float32"), "step": np.array(7, "int64")}


def save(checkpoints, step, value=0.0):
    return checkpoints.save(arrays(value), {"step": step, "note": "ü"})


def test_what_is_saved_comes_back(tmp_path):
    path = save(Checkpoints(tmp_path, keep=2), 5, value=0.1)
    assert path.name == "step_00000005.npz"
    read = read_checkpoint(path)
    assert read.step == 5
    assert read.meta["note"] == "ü"
    np.testing.assert_array_equal(read.arrays["a/kernel"], arrays(0.1)["a/kernel"])
    assert read.arrays["step"] == 7


def test_the_newest_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3, 10):
        save(checkpoints, step)
    assert [path.name for path in checkpoints.paths()] == ["step_00000003.npz", "step_00000010.npz"]
    assert checkpoints.newest(warn=pytest.fail).step == 10


def test_those_of_every_so_many_steps_are_kept_for_ever(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2, keep_every=4)
    for step in range(1, 12):
        save(checkpoints, step)
    assert [int(path.stem[5:]) for path in checkpoints.paths()] == [4, 8, 10, 11]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path, keep=3)
    save(checkpoints, 1)
    newest = save(checkpoints, 2, value=0.5)
    whole = newest.read_bytes()
    place = whole.index(arrays(0.5)["a/kernel"].tobytes())
    flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    newest.write_bytes({"cut": whole[:-100], "flipped": flipped, "empty": b"", "text": b"not a zip"}[damage])
    warnings = []
    assert checkpoints.newest(warnings.append).step == 1
    assert "step_00000002.npz is damaged" in warnings[0]


@pytest.mark.parametrize("bits", [0x01, 0x80, 0xFF])
def test_a_flip_anywhere_in_the_file_is_noticed_or_harmless(tmp_path, bits):
    """Harmless are fields that nothing reads, as the time in the container's directory."""
    path = save(Checkpoints(tmp_path, keep=1), 1, value=0.5)
    whole, noticed = path.read_bytes(), 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bits]) + whole[place + 1 :])
        try:
            read = read_checkpoint(path)
        except ConfigError:
            noticed += 1
            continue
        assert read.meta == {"step": 1, "note": "ü"}
        assert read.arrays.keys() == arrays().keys()
        for name, value in arrays(0.5).items():
            np.testing.assert_array_equal(read.arrays[name], value)
    assert noticed > 0.6 * len(whole)


def test_files_that_cannot_be_read_do_not_count_as_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    save(checkpoints, 4)
    (tmp_path / "step_00000006.npz").write_bytes(b"damaged")
    save(checkpoints, 5)
    assert [path.name for path in checkpoints.paths()] == ["step_00000005.npz", "step_00000006.npz"]
    assert checkpoints.newest(warn=lambda _: None).step == 5


def test_what_cannot_be_read_back_replaces_nothing(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=1)
    save(checkpoints, 1)
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda _: "a/kernel.npy")
    with pytest.raises(OSError, match="another checksum"):
        save(checkpoints, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000001.npz"]


def test_averages_take_the_place_of_the_weights():
    held = {"ema/m/kernel": np.ones(2), "m/kernel": np.zeros(2), "m/table": np.full(2, 3)}
    checkpoint = Checkpoint(Path("x"), held, {"step": 1})
    assert checkpoint.averaged
    evaluated = checkpoint.evaluated_arrays()
    assert evaluated.keys() == {"m/kernel", "m/table"}
    assert evaluated["m/kernel"].sum() == 2
    assert not Checkpoint(Path("x"), {"m/kernel": np.zeros(2)}, {"step": 1}).averaged


def test_no_readable_checkpoint_is_an_error_and_none_at_all_is_not(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=3)
    assert checkpoints.newest(warn=pytest.fail) is None
    save(checkpoints, 1).write_bytes(b"")
    with pytest.raises(ConfigError, match="none of the 1 checkpoints"):
        checkpoints.newest(warn=lambda _: None)


def test_a_failed_save_leaves_the_earlier_checkpoints(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=1)
    save(checkpoints, 1)

    def full_disk(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save(checkpoints, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000001.npz"]


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    (tmp_path / ".step_00000001.npz.4711.tmp.npz").write_bytes(b"half")
    (tmp_path / "step_00000001.tmp").write_bytes(b"half")  # as earlier versions called it
    assert Checkpoints(tmp_path, keep=1).paths() == []
    save(Checkpoints(tmp_path, keep=1), 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000002.npz"]


def test_another_file_is_not_a_checkpoint(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ConfigError, match="not a checkpoint of this project"):
        read_checkpoint(tmp_path / "other.npz")
    with pytest.raises(ConfigError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "missing.npz")


@pytest.mark.parametrize("content", [b"\x89HDF\r\n\x1a\n" + bytes(100), pickle.dumps({"a": 1}), b"text"])
def test_nobody_is_advised_to_run_what_another_file_holds(content, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ConfigError, match="damaged or not a checkpoint of this project") as error:
        read_checkpoint(tmp_path / "x")
    assert not re.search("pickle|unsafe", str(error.value))


def test_nothing_is_read_with_pickle(tmp_path):
    path = save(Checkpoints(tmp_path, keep=1), 1)
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], dtype=object))
    with zipfile.ZipFile(tmp_path / "pickled.npz") as pickled, zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x.npy", pickled.read("x.npy"))
    with pytest.raises(ConfigError, match=r"x\.npy has the header .*it may hold .* a plain array"):
        read_checkpoint(path)


def test_weights_of_another_model_are_refused_and_nothing_is_assigned(tmp_path):
    small, wide = tiny_pretrainer(), tiny_pretrainer(embed_dim=32)
    deep = tiny_pretrainer(depth=3)
    before = variables_to_arrays(small.variables)
    with pytest.raises(ConfigError, match=r"shapes differ: .*\(96, 32\) for \(96, 24\)"):
        assign_arrays(small.variables, variables_to_arrays(wide.variables), tmp_path)
    with pytest.raises(ConfigError, match="missing none; unexpected pretrainer/encoder/block_2"):
        assign_arrays(small.variables, variables_to_arrays(deep.variables), tmp_path)
    for name, value in variables_to_arrays(small.variables).items():
        np.testing.assert_array_equal(value, before[name])


def test_meta_is_plain_json(tmp_path):
    with np.load(save(Checkpoints(tmp_path, keep=1), 1)) as archive:
        meta = json.loads(bytes(archive["__meta__"]))
    assert meta == {"step": 1, "note": "ü", "arrays": ["a/kernel", "step"]}


def test_a_file_of_an_older_version_is_told_from_a_damaged_one(tmp_path):
    encoded = np.frombuffer(json.dumps({"step": 3}).encode(), np.uint8)
    np.savez(tmp_path / "old.npz", __meta__=encoded, weight=np.zeros(2))
    with pytest.raises(ConfigError, match="written by an older version"):
        read_checkpoint(tmp_path / "old.npz")
    encoded = np.frombuffer(json.dumps({"step": 3, "arrays": ["bias", "weight"]}).encode(), np.uint8)
    np.savez(tmp_path / "cut.npz", __meta__=encoded, weight=np.zeros(2))
    with pytest.raises(ConfigError, match="damaged"):
        read_checkpoint(tmp_path / "cut.npz")
