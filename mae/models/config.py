"""What may be configured about a model."""

from dataclasses import asdict, dataclass, fields, make_dataclass
from typing import Any

from mae.presets import Architecture, architecture

# `remat` is no size: a run says whether it trades time for memory.
_SIZES: dict[str, Any] = {field.name: field.type for field in fields(Architecture) if field.name != "remat"}
# Declared as `Any`: a type checker knows no class that is made when the module is loaded.
_Chosen: Any = make_dataclass(
    "_Chosen", [("preset", str), *((name, kind | None) for name, kind in _SIZES.items())], frozen=True
)


@dataclass(frozen=True)
class ModelConfig(_Chosen):
    """A preset, and the sizes of it that are replaced (None: as in it); see `mae.presets.Architecture` for each."""

    preset: str

    def __post_init__(self) -> None:
        for name in ("mean", "std", "image_size"):
            if (values := getattr(self, name)) is not None and not isinstance(values, int):
                object.__setattr__(self, name, list(values))  # a plain list, whatever composed it
        _ = self.architecture  # raises for sizes that do not fit together

    @property
    def given(self) -> set[str]:
        """The sizes that are replaced."""
        return {name for name, value in asdict(self).items() if value is not None} - {"preset"}

    @property
    def architecture(self) -> Architecture:
        sizes = {name: value for name, value in asdict(self).items() if value is not None}
        return architecture(**sizes)
