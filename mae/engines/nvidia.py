"""Whether a run would go on without the GPU that the machine has."""

import os
from collections.abc import Mapping
from pathlib import Path

from mae.cli.commands import to_install
from mae.errors import UnusedDevice

_DRIVER = Path("/dev/nvidiactl")
_NONE_MEANT = ("", "-1")  # of CUDA_VISIBLE_DEVICES


def has_driver() -> bool:
    """Whether NVIDIA's driver is loaded."""
    return _DRIVER.exists()


def check_gpu_is_seen(library: str, seen: bool, extra: str, environment: Mapping[str, str] = os.environ) -> None:
    """Raises `UnusedDevice` where an NVIDIA driver is here and the engine's library sees no GPU.

    An empty CUDA_VISIBLE_DEVICES or -1 says that none is to be seen.

    Args:
        library: as its users write its name.
        seen: whether it sees a GPU.
        extra: of this project, which brings its GPU version.
    """
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if seen or named in _NONE_MEANT or not has_driver():
        return
    hidden = "" if named is None else f"unless CUDA_VISIBLE_DEVICES={named} names none that is there: "
    raise UnusedDevice(
        f"an NVIDIA driver is here, but {library} sees no GPU: {hidden}{to_install(extra)}; "
        "to compute on the CPU all the same give strategy=single device=cpu"
    )
