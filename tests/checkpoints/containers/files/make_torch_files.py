"""Makes the small files of this folder with PyTorch itself (2.13); nothing else needs it.

Run where PyTorch and safetensors are installed: `python tests/checkpoints/containers/files/make_torch_files.py`
"""

import argparse
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent


def model() -> OrderedDict:
    """Tensors of every kind a state dict may hold, with values that a test can write down."""
    base = torch.arange(24, dtype=torch.float32)
    tensors = OrderedDict(
        contiguous=base.reshape(2, 3, 4),
        transposed=base[:6].reshape(2, 3).T,
        tied=base[12:],
        slice=base[4:20:2],
        expanded=torch.tensor([7.0]).expand(3, 2),
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(torch.ones(2)),
        bfloat16=torch.tensor([1.0, -2.5, 3.140625], dtype=torch.bfloat16),
    )
    for name in ("float16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64"):
        tensors[name] = torch.tensor([0, 1, 2]).to(getattr(torch, name))
    tensors._metadata = OrderedDict({"": {"version": 1}})
    return tensors


def tree() -> dict:
    """A training checkpoint: state dict, optimizer, arguments and plain values."""
    return {
        "model": model(),
        "optimizer": {"state": {0: {"exp_avg": torch.full((2,), 0.5)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]},
        "args": argparse.Namespace(model="small", window=(8, 14, 14), nothing=None, output=Path("runs/one")),
        "epoch": 3,
        "best": np.float64(81.5),
        "shape": torch.Size([2, 3]),
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "bytes": b"\x00\xff",
        "names": {"a", "b"},
        "complex": 1 + 2j,
        "large": 2**70,
    }


def main() -> None:
    """Writes the files."""
    torch.save(tree() | {"unsigned": torch.tensor([1, 65535], dtype=torch.uint16)}, HERE / "zip.pth")
    torch.save(tree(), HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(HERE / "zip.pth") as source, zipfile.ZipFile(HERE / "deflated.pth", "w", 8) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    save_file(
        {"a": torch.arange(6, dtype=torch.float32).reshape(2, 3), "b": torch.tensor([1.0, -2.5], dtype=torch.bfloat16)},
        HERE / "model.safetensors",
        metadata={"format": "pt"},
    )


if __name__ == "__main__":
    main()
