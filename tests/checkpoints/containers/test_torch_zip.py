"""PyTorch files: golden ones of PyTorch itself, our own writer, damage, and files that try to run code."""

import io
import os
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from mae.checkpoints.containers.torch_zip import Namespace, read_torch, write_torch
from mae.errors import ConfigError

FILES = Path(__file__).parent / "files"
GOLDEN = ("zip.pth", "deflated.pth", "legacy.pth")
FLOATS = np.arange(24, dtype=np.float32)
EXPECTED = {
    "contiguous": FLOATS.reshape(2, 3, 4),
    "transposed": FLOATS[:6].reshape(2, 3).T,
    "tied": FLOATS[12:],
    "slice": FLOATS[4:20:2],
    "expanded": np.full((3, 2), 7, np.float32),
    "scalar": np.float32(2.5),
    "empty": np.zeros((0, 3), np.float32),
    "parameter": np.ones(2, np.float32),
    "bfloat16": np.array([1, -2.5, 3.140625], np.float32),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_files_of_pytorch(name: str) -> None:
    tree = read_torch(FILES / name)
    model = tree["model"]
    for key, expected in EXPECTED.items():
        np.testing.assert_array_equal(model[key], expected, strict=True)
        assert model[key].flags.c_contiguous
    for key in model.keys() - EXPECTED.keys():
        assert model[key].dtype.name == key
        np.testing.assert_array_equal(model[key], np.array([0, 1, 2]).astype(key))
    assert type(tree["args"]) is Namespace
    assert tree["args"] == {"model": "small", "window": (8, 14, 14), "nothing": None, "output": "runs/one"}
    assert (tree["epoch"], tree["best"], tree["shape"], tree["device"]) == (3, 81.5, (2, 3), "cpu")
    assert (tree["bytes"], tree["names"], tree["complex"], tree["large"]) == (b"\x00\xff", {"a", "b"}, 1 + 2j, 2**70)
    np.testing.assert_array_equal(tree["optimizer"]["state"][0]["exp_avg"], [0.5, 0.5])
    assert tree["dtype"].name == "float32"


@pytest.mark.parametrize("name", GOLDEN)
def test_tensors_of_one_storage_share_memory(name: str) -> None:
    model = read_torch(FILES / name)["model"]
    assert np.shares_memory(model["contiguous"], model["tied"])
    assert not np.shares_memory(model["contiguous"], model["slice"])


def test_a_type_without_a_storage_of_its_own() -> None:
    unsigned = read_torch(FILES / "zip.pth")["unsigned"]
    np.testing.assert_array_equal(unsigned, np.array([1, 65535], np.uint16), strict=True)


def test_round_trip(tmp_path: Path) -> None:
    tree = {
        "model": OrderedDict(
            a=np.arange(6, dtype=np.float32).reshape(2, 3).T,
            b=np.array(2.5, np.float16),
            c=np.zeros((0, 3), np.float64),
            d=np.array([True, False]),
            e=np.array([1, 2], ">i8"),
            f=np.array([1, -2.5], ml_dtypes.bfloat16),
        ),
        "values": [1, (2, None, True), "é", 2.5, 2**40, -5, {}, []],
        3: "key",
    }
    path = tmp_path / "folder" / "model.bin"
    write_torch(path, tree)
    read = read_torch(path)
    for key, array in tree["model"].items():  # type: ignore[attr-defined]
        np.testing.assert_array_equal(read["model"][key], array)
    assert read["model"]["b"].dtype == np.float16
    assert read["model"]["f"].dtype == np.float32
    assert (read["values"], read[3]) == (tree["values"], "key")
    assert [entry.name for entry in path.parent.iterdir()] == ["model.bin"]
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[:2] == ["archive/data.pkl", "archive/byteorder"]


def test_the_same_weights_give_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_torch(tmp_path / name, {"a": np.ones(3)})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_value_that_cannot_be_written_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    write_torch(path, {"a": 1})
    with pytest.raises(ConfigError, match=r"cannot write a\.b\[1\]: a object"):
        write_torch(path, {"a": {"b": [1, object()]}})
    with pytest.raises(ConfigError, match=r"cannot write a: an array of <U1"):
        write_torch(path, {"a": np.array(["x"])})
    with pytest.raises(ConfigError, match="the key"):
        write_torch(path, {(1, 2): 3})
    assert read_torch(path) == {"a": 1}
    assert len(list(tmp_path.iterdir())) == 1


def zip_of(path: Path, data: bytes, storages: dict[str, bytes] | None = None, order: str = "little") -> Path:
    """A file in the zip layout around a pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", order)
        for key, raw in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", raw)
    return path


def tensor(count: int, offset: int, size: tuple, stride: tuple, storage: str = "FloatStorage") -> bytes:
    """The pickle of one tensor on a storage "0"."""

    def ints(values: tuple) -> bytes:
        return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"

    reference = f"(Vstorage\nctorch\n{storage}\nV0\nVcpu\n".encode() + b"J" + struct.pack("<i", count) + b"tQ"
    place = b"J" + struct.pack("<i", offset) + ints(size) + ints(stride)
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + reference + place + b"\x89}tR."


class Call:
    """Pickles to a call."""

    def __init__(self, function: object, *args: object) -> None:
        self.reduction = function, args

    def __reduce__(self) -> tuple:
        return self.reduction  # type: ignore[return-value]


def hostile(marker: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that would make the file `marker` or change the reader itself, and what the error says."""
    run = f"open({str(marker)!r}, 'w')"
    return {
        "system": (pickle.dumps({"model": Call(os.system, f"touch {marker}")}, 2), r"'posix\.system'"),
        "os": (f"cos\nsystem\n(Vtouch {marker}\ntR.".encode(), r"'os\.system'"),
        "eval": (pickle.dumps(Call(eval, run), 2), r"'__builtin__\.eval'"),
        "stack_global": (pickle.dumps(Call(exec, run), 4), r"'builtins\.exec'"),
        "attribute": (b"\x80\x04\x8c\x08builtins\x8c\x0cset.__init__\x93.", r"'builtins\.set\.__init__'"),
        "inst": (f"(Vtouch {marker}\nios\nsystem\n.".encode(), "damaged"),
        "obj": (f"(cos\nsystem\nVtouch {marker}\no.".encode(), "damaged|'os.system'"),
        "extension": (b"\x80\x02\x82\x01.", "damaged"),
        "call of data": (b"\x80\x02ctorch\nFloatStorage\n)R.", "it calls"),
        "state of a function": (b"\x80\x02ctorch\nSize\n}Vcall\nNsb.", "sets the state of a _Function"),
        "state of a tensor": (tensor(2, 0, (2,), (1,))[:-1] + b"}b.", "sets the state of a ndarray"),
        "persistent id": (b"Pos.system\n.", "expected a tensor storage"),
        "object array": (b"cnumpy\ndtype\n(VO8\nI0\nI1\ntR.", "'O8'"),
        "huge memo": (b"\x80\x02Nr\xff\xff\xff\x7f0.", "damaged"),
    }


@pytest.mark.parametrize("name", hostile(Path("x")))
def test_nothing_in_a_file_is_run(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    data, message = hostile(marker)[name]
    path = zip_of(tmp_path / "model.pth", data, {"0": bytes(8)})
    with pytest.raises(ConfigError, match=message) as caught:
        read_torch(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not marker.exists()
    read_torch(FILES / "zip.pth")


def test_nothing_in_a_legacy_file_is_run(tmp_path: Path) -> None:
    path, marker = tmp_path / "model.pth", tmp_path / "marker"
    start = io.BytesIO((FILES / "legacy.pth").read_bytes())
    for _ in range(4):
        # Behind the magic number, the protocol, the machine and the object.
        assert [*pickletools.genops(start)]
        path.write_bytes(start.getvalue()[: start.tell()] + hostile(marker)["system"][0])
        with pytest.raises(ConfigError, match=r"'posix\.system'"):
            read_torch(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tensor(2, 0, (3,), (1,)), r"shape \(3,\) reaches beyond its storage of 2"),
        (tensor(2, 1, (2,), (1,)), "reaches beyond"),
        (tensor(2, 0, (2, 2), (2, 1)), "reaches beyond"),
        (tensor(2, -1, (1,), (1,)), "offset -1"),
        (tensor(2, 0, (-1,), (1,)), "size"),
        (tensor(2, 0, (2,), (-1,)), "strides"),
        (tensor(2, 0, (2, 1), (1,)), "strides"),
        (tensor(2, 0, (2**30, 2**30), (0, 0)), "more than 4 times as large as what is stored"),
        (tensor(2, 0, (1,) * 33, (1,) * 33), "33 axes"),
        (tensor(3, 0, (2,), (1,)), "has 8 bytes; expected 12 bytes"),
        (tensor(2, 0, (2,), (1,), "DoubleStorage"), "has 8 bytes; expected 16 bytes"),
        (tensor(2, 0, (2,), (1,), "QInt8Storage"), r"'torch\.QInt8Storage'"),
    ],
)
def test_wrong_shapes(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        read_torch(zip_of(tmp_path / "model.pth", data, {"0": bytes(8)}))


def test_big_endian(tmp_path: Path) -> None:
    raw = np.array([1.5, -2], ">f4").tobytes()
    path = zip_of(tmp_path / "model.pth", tensor(2, 0, (2,), (1,)), {"0": raw}, "big")
    np.testing.assert_array_equal(read_torch(path), np.array([1.5, -2], np.float32), strict=True)
    with pytest.raises(ConfigError, match="byte order"):
        read_torch(zip_of(path, tensor(2, 0, (2,), (1,)), {"0": raw}, "middle"))


@pytest.mark.parametrize("name", GOLDEN)
def test_truncated_anywhere(name: str, tmp_path: Path) -> None:
    whole = (FILES / name).read_bytes()
    path = tmp_path / name
    for kept in [0, 1, 2, 20, *range(30, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:kept])
        with pytest.raises(ConfigError, match=r"model|pth"):
            read_torch(path)


@pytest.mark.parametrize("name", ["zip.pth", "deflated.pth"])
def test_no_changed_byte_of_a_tensor_goes_unnoticed(name: str, tmp_path: Path) -> None:
    whole, path = (FILES / name).read_bytes(), tmp_path / name
    with zipfile.ZipFile(FILES / name) as archive:
        member = archive.getinfo("zip/data/0")
    header = member.header_offset
    start = header + 30 + sum(struct.unpack_from("<HH", whole, header + 26))
    noticed = 0
    for position in range(start, start + member.compress_size, 5):
        changed = bytearray(whole)
        changed[position] ^= 1
        path.write_bytes(changed)
        try:
            model = read_torch(path)["model"]
        except ConfigError:
            noticed += 1
        else:  # deflate leaves some bits unused
            assert name == "deflated.pth"
            np.testing.assert_array_equal(model["contiguous"], EXPECTED["contiguous"])
    assert noticed >= 5


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    with pytest.raises(ConfigError, match="no file at"):
        read_torch(path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ConfigError, match="is no PyTorch file: it starts with"):
        read_torch(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other", b"")
    with pytest.raises(ConfigError, match=r"expected one data\.pkl in the zip, found 0"):
        read_torch(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", b"N.")
        archive.writestr("m/constants.pkl", b"N.")
    with pytest.raises(ConfigError, match="TorchScript"):
        read_torch(path)


def doubling(levels: int = 40) -> bytes:
    """A tuple of ten ones, then again and again a tuple of ten references to the one before: 10^levels leaves."""
    made = b"(" + b"K\x01" * 10 + b"tq\x000"
    for level in range(1, levels):
        made += b"(" + bytes([*b"h", level - 1]) * 10 + b"tq" + bytes([level]) + b"0"
    return made + bytes([*b"h", levels - 1])


def named(name: str) -> bytes:
    return f"c{name.rpartition('.')[0]}\n{name.rpartition('.')[2]}\n".encode()


def called(name: str, *arguments: bytes) -> bytes:
    return named(name) + b"(" + b"".join(arguments) + b"tR"


TENSOR = tensor(2, 0, (2,), (1,))[2:-1]
REBUILD = named("torch._utils._rebuild_tensor_v2")
STORAGE = b"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nK\x02tQ"
LONG_TEXT = b"X" + struct.pack("<I", 1_000_000) + b"a" * 1_000_000 + b"q\x000"
BIG = b"\x8b" + struct.pack("<i", 100_000) + b"\x7f" * 100_000  # a whole number of 800 000 bits


# What each asks for has no end, or takes the memory of thousands of such files.
WITHOUT_END = {
    "a key": (b"}" + doubling() + b"K\x01s", "a tuple of 10 is a key"),
    "a key of many": (b"}(" + doubling() + b"K\x01u", "a tuple of 10 is a key"),
    "a key of a made dict": (b"(" + doubling() + b"K\x01d", "a tuple of 10 is a key"),
    "a key of an OrderedDict": (called("collections.OrderedDict", b"](" + doubling() + b"K\x01\x86e"), "is a key"),
    "a key of a Namespace": (called("argparse.Namespace", b"](" + doubling() + b"K\x01\x86e"), "is a key"),
    "members of a set": (called("builtins.set", b"](" + doubling() + b"e"), "a tuple of 10 is a key"),
    "members that are added": (b"\x8f(" + doubling() + b"\x90", "a tuple of 10 is a key"),
    "members of a frozen set": (b"(" + doubling() + b"\x91", "a tuple of 10 is a key"),
    "a number as key": (b"}" + BIG + b"K\x01s", "a whole number of 799999 bits is a key"),
    "a size": (REBUILD + b"(" + STORAGE + b"K\x00" + doubling() + b"(K\x01tt" + b"R", "the size a tuple of 10 and"),
    "a size of large numbers": (
        REBUILD + b"(" + STORAGE + b"K\x00(" + BIG + BIG + b"t(K\x01K\x01ttR",
        "size a whole number of 799999 bits",
    ),
    "a storage": (REBUILD + b"(" + doubling() + b"K\x00(K\x02t(K\x01ttR", "has a tuple of 10 for a storage"),
    "a persistent id": (doubling() + b"Q", "refers to a tuple of 10"),
    "the type of a storage": (b"(Vstorage\n" + doubling() + b"V0\nVcpu\nK\x02tQ", "storage '0' of 2"),
    "what is called": (doubling() + b")R", "calls a tuple of 10"),
    "a type": (called("numpy.dtype", doubling()), "of type a tuple of 10"),
    "what a state is put into": (doubling() + b"}b", "sets the state of a tuple"),
    "what items are put into": (doubling() + b"K\x01K\x01s", "into a tuple of 10"),
    "an encoding": (called("_codecs.encode", b"Va\n", doubling()), "in the encoding a tuple of 10"),
    "depth": (b"}" + b")" + b"\x85" * 600_000 + b"K\x01s", "more than 500000 steps"),
    "many empty tables": (b"(" + b"}" * 600_000 + b"t", "more than 500000 steps"),
    "text that is joined to itself": (
        b"Va\nq\x000" + (b"cpathlib\nPosixPath\n" + b"h\x00h\x00\x86Rq\x000") * 60 + b"h\x00",
        "copies more than 10000000 values",
    ),
    "text that is encoded again and again": (
        LONG_TEXT + (called("_codecs.encode", b"h\x00") + b"0") * 20 + b"N",
        "copies more than 10000000 values",
    ),
    "a table that is copied again and again": (
        b"](" + b"N" * 300_000 + b"eq\x000" + (called("torch.Size", b"h\x00") + b"0") * 50 + b"N",
        "copies more than 10000000 values",
    ),
    "bytes that are not there": (b"X\xff\xff\xff\xff", "asks for 4294967295 bytes that are not there"),
}


@pytest.mark.parametrize("name", WITHOUT_END)
def test_what_has_no_end_is_refused(name: str, tmp_path: Path) -> None:
    body, message = WITHOUT_END[name]
    path = zip_of(tmp_path / "model.pth", b"\x80\x04" + body + b".", {"0": bytes(8)})
    with pytest.raises(ConfigError, match=message) as refused:
        read_torch(path)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("kind", ["FloatStorage", "BFloat16Storage"])
def test_copies_without_end_are_refused(kind: str, tmp_path: Path) -> None:
    """Three thousand transposed views of one storage of a megabyte, or as many that are widened."""
    size, strides = ((512, 512), (1, 512)) if kind == "FloatStorage" else ((512, 512), (512, 1))
    one = tensor(512 * 512, 0, size, strides, kind)[2:-1]
    storage = bytes(512 * 512 * (4 if kind == "FloatStorage" else 2))
    path = zip_of(tmp_path / "model.pth", b"\x80\x02(" + one * 3000 + b"t.", {"0": storage})
    with pytest.raises(ConfigError, match="more than 4 times as large as what is stored"):
        read_torch(path)
    read_torch(zip_of(path, b"\x80\x02(" + one * 4 + b"t.", {"0": storage}))


def test_a_legacy_file_is_not_read_beyond_its_placeholders(tmp_path: Path) -> None:
    """Its first reading has no storages yet: what looks like a strided view of one must not follow the strides."""
    whole = (FILES / "legacy.pth").read_bytes()
    stream = io.BytesIO(whole)
    for _ in range(3):
        assert [*pickletools.genops(stream)]
    start = stream.tell()
    assert [*pickletools.genops(stream)]
    count = 1 << 28
    far = tensor(count, 0, (2, 2), (1, count - 2))
    (tmp_path / "x.pth").write_bytes(whole[:start] + far + whole[stream.tell() :])
    with pytest.raises(ConfigError, match="declares 1073741824 bytes, more than its"):
        read_torch(tmp_path / "x.pth")
    far = tensor(2000, 0, (2, 2), (1, 1998))
    with open(tmp_path / "x.pth", "wb") as file:
        file.write(whole[:start] + far + pickle.dumps(["0"], 2) + struct.pack("<q", 2000))
        file.write(np.arange(2000, dtype="<f4").tobytes())
    np.testing.assert_array_equal(read_torch(tmp_path / "x.pth"), np.array([[0, 1998], [1, 1999]], np.float32))
