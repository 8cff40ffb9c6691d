"""What may be configured about a model."""

from dataclasses import asdict, dataclass

from mae.errors import ConfigError
from mae.presets import Architecture, architecture


@dataclass(frozen=True)
class ModelConfig:
    """A preset, and the sizes of it that are replaced; see `mae.presets.Architecture` for each."""

    preset: str
    image_size: int | None
    num_frames: int | None
    patch_size: int | None
    tubelet_size: int | None
    in_channels: int | None
    embed_dim: int | None
    depth: int | None
    num_heads: int | None
    mlp_ratio: float | None
    positions: str | None
    layer_norm_epsilon: float | None
    head_norm_epsilon: float | None
    drop_path_rate: float | None
    attention_dropout_rate: float | None
    dropout_rate: float | None
    decoder_embed_dim: int | None
    decoder_depth: int | None
    decoder_num_heads: int | None
    attention: str | None
    attention_chunk: int | None
    lean: bool | None

    def __post_init__(self) -> None:
        if self.architecture.in_channels != 3:
            raise ConfigError(f"model.in_channels={self.in_channels}: video files are decoded to 3 channels")

    @property
    def architecture(self) -> Architecture:
        sizes = {name: value for name, value in asdict(self).items() if value is not None}
        return architecture(**sizes)
