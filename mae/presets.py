"""The table of model sizes.

`vit_small` … `vit_giant` are the released ones (VideoMAE, arXiv:2203.12602, appendix; VideoMAE V2,
arXiv:2303.16727, table 9); `vit_tiny` is ours, for the demo and for tests on a CPU, and `vit_micro` for
experiments that take minutes there: of tubelets of one frame, so that no token shows a motion by itself.
"""

from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any

from mae.errors import ConfigError, check_choice, shown
from mae.normalisation import Statistics, statistics_of
from mae.options import ATTENTIONS, POSITIONS, REMATS
from mae.picture_size import PictureSize, height_and_width, picture_size, size_setting

# What the sizes may be, far beyond what was ever trained: a file that claims more is damaged, or made to do harm.
WHOLE = {
    "num_frames": (1, 1 << 16),
    **dict.fromkeys(("patch_size", "tubelet_size", "in_channels", "depth", "decoder_depth"), (1, 1 << 10)),
    **dict.fromkeys(("embed_dim", "decoder_embed_dim"), (1, 1 << 16)),
    **dict.fromkeys(("num_heads", "decoder_num_heads"), (1, 1 << 12)),
    "attention_chunk": (1, 1 << 62),
}
ABOVE_ZERO = {"mlp_ratio": 64.0, "layer_norm_epsilon": 1.0, "head_norm_epsilon": 1.0}  # up to these
MAX_TOKENS = 1 << 17
COMPUTED = ("attention", "attention_chunk", "lean", "remat")  # how it is computed; the numbers stay the same


@dataclass(frozen=True)
class Architecture:
    """Every size of an encoder and its decoder. Raises `ConfigError` for sizes that do not fit together."""

    image_size: PictureSize = 224  # pixels, height and width: one number of a square, or both
    num_frames: int = 16
    patch_size: int = 16  # pixels, height and width of a tubelet
    tubelet_size: int = 2  # frames in a tubelet
    in_channels: int = 3
    mean: tuple[float, ...] | None = None  # of each channel in [0, 1]; None: as in `mae.normalisation.usual_statistics`
    std: tuple[float, ...] | None = None  # the standard deviation that goes with it, which pixels are divided by
    embed_dim: int = 768
    depth: int = 12  # encoder blocks
    num_heads: int = 12
    mlp_ratio: float = 4.0  # width of the MLP's hidden layer over the block's
    positions: str = "sincos"  # fixed over the flattened index | "sincos_factorised" over t, h, w | "learnable"
    layer_norm_epsilon: float = 1e-6
    head_norm_epsilon: float | None = None  # of the norm before the decoder's or classifier's head; None: the same
    drop_path_rate: float = 0.0  # of the last encoder block; grows linearly from 0 at the first
    attention_dropout_rate: float = 0.0
    dropout_rate: float = 0.0  # after the attention's projection and in the MLP
    attention: str = "chunked"  # never holds all scores | "plain": holds them, see mae.models.lean.attention
    attention_chunk: int = 2_500_000  # scores held at once; 10 MB suit a CPU's cache, a GPU wants tens of millions
    lean: bool = True  # mae.models.lean.linear, layer_norm, squared_error, one_pass; False: as Keras differentiates
    remat: str = "none"  # "blocks": a block keeps its input only and is run again in the backward pass
    decoder_embed_dim: int = 384
    decoder_depth: int = 4
    decoder_num_heads: int = 6

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", picture_size("image_size", self.image_size))
        self._check_ranges()
        for name, values in self.statistics._asdict().items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, values)  # a tuple, whatever list it was in a file
        if any(length % self.patch_size for length in self.picture_size):
            told = size_setting(self.image_size)
            raise ConfigError(f"image_size={told} is not divisible by patch_size={self.patch_size}")
        if self.num_frames % self.tubelet_size:
            raise ConfigError(f"num_frames={self.num_frames} is not divisible by tubelet_size={self.tubelet_size}")
        for width, heads in (("embed_dim", "num_heads"), ("decoder_embed_dim", "decoder_num_heads")):
            if getattr(self, width) % getattr(self, heads):
                raise ConfigError(f"{width}={getattr(self, width)} is not divisible by {heads}={getattr(self, heads)}")
            if getattr(self, width) % 2:
                raise ConfigError(f"{width}={getattr(self, width)} must be even: half sines, half cosines")
        if self.num_tokens > MAX_TOKENS:
            raise ConfigError(
                f"num_frames={self.num_frames} and image_size={size_setting(self.image_size)} in tubelets of "
                f"{self.tubelet} are "
                f"{self.num_tokens} tokens; there may be {MAX_TOKENS}"
            )
        check_choice("positions", self.positions, POSITIONS)
        check_choice("attention", self.attention, ATTENTIONS)
        check_choice("remat", self.remat, REMATS)
        if self.remat != "none" and (self.dropout_rate or self.attention_dropout_rate):
            raise ConfigError(
                f"remat={self.remat} runs blocks twice, which would draw two different dropouts: set "
                f"dropout_rate={self.dropout_rate} and attention_dropout_rate={self.attention_dropout_rate} to 0"
            )

    def _check_ranges(self) -> None:
        for name, (low, high) in WHOLE.items():
            value = getattr(self, name)
            if not (_is(Integral, value) and low <= value <= high):
                raise ConfigError(f"{name}={shown(value)} must be a whole number from {low} to {high}")
        for name, largest in ABOVE_ZERO.items():
            value = getattr(self, name)
            if name == "head_norm_epsilon" and value is None:
                continue
            # So written, the comparison also refuses what is not a number (NaN).
            if not (_is(Real, value) and 0 < value <= largest):
                raise ConfigError(f"{name}={shown(value)} must be a number above 0, at most {largest:g}")
        for name in ("drop_path_rate", "attention_dropout_rate", "dropout_rate"):
            value = getattr(self, name)
            if not (_is(Real, value) and 0 <= value < 1):
                raise ConfigError(f"{name}={shown(value)} must lie in [0, 1)")
        if not isinstance(self.lean, bool):
            raise ConfigError(f"lean={shown(self.lean)} must be true or false")

    @property
    def grid(self) -> tuple[int, int, int]:
        """Tokens along time, height and width."""
        height, width = self.picture_size
        return self.num_frames // self.tubelet_size, height // self.patch_size, width // self.patch_size

    @property
    def picture_size(self) -> tuple[int, int]:
        """Rows and columns of a clip."""
        return height_and_width(self.image_size)

    @property
    def final_norm_epsilon(self) -> float:
        """Epsilon of the norm before a head."""
        return self.layer_norm_epsilon if self.head_norm_epsilon is None else self.head_norm_epsilon

    @property
    def num_tokens(self) -> int:
        t, h, w = self.grid
        return t * h * w

    @property
    def statistics(self) -> Statistics:
        """Mean and standard deviation that pixels are normalised by."""
        return statistics_of(self.in_channels, self.mean, self.std)

    @property
    def tubelet(self) -> tuple[int, int, int]:
        """Frames, rows and columns of one patch."""
        return self.tubelet_size, self.patch_size, self.patch_size

    @property
    def video_shape(self) -> tuple[int, int, int, int]:
        """Frames, rows, columns and channels of a clip."""
        return self.num_frames, *self.picture_size, self.in_channels

    @property
    def patch_dim(self) -> int:
        """Values in one patch."""
        return self.tubelet_size * self.patch_size**2 * self.in_channels


def _is(kind: type, value: Any) -> bool:
    """Whether a value is a number of this kind, be it NumPy's; true and false are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


PRESETS = {
    "vit_micro": Architecture(
        image_size=24, num_frames=4, patch_size=4, tubelet_size=1, embed_dim=96, depth=4, num_heads=3,
        positions="sincos_factorised", decoder_embed_dim=64, decoder_depth=1, decoder_num_heads=2,
    ),
    "vit_tiny": Architecture(
        image_size=64, patch_size=8, embed_dim=128, depth=4, num_heads=4, positions="sincos_factorised",
        decoder_embed_dim=96, decoder_depth=2, decoder_num_heads=3,
    ),
    "vit_small": Architecture(
        embed_dim=384, depth=12, num_heads=6, decoder_embed_dim=192, decoder_depth=4, decoder_num_heads=3
    ),
    "vit_base": Architecture(
        embed_dim=768, depth=12, num_heads=12, decoder_embed_dim=384, decoder_depth=4, decoder_num_heads=6
    ),
    "vit_large": Architecture(
        embed_dim=1024, depth=24, num_heads=16, decoder_embed_dim=512, decoder_depth=12, decoder_num_heads=8
    ),
    "vit_huge": Architecture(
        embed_dim=1280, depth=32, num_heads=16, decoder_embed_dim=640, decoder_depth=12, decoder_num_heads=8
    ),
    "vit_giant": Architecture(
        patch_size=14, embed_dim=1408, depth=40, num_heads=16, mlp_ratio=48 / 11,
        decoder_embed_dim=512, decoder_depth=4, decoder_num_heads=8,
    ),
}  # fmt: skip


def architecture_of(told: Architecture | dict[str, Any]) -> Architecture:
    """An architecture, or one as the configuration of a model has it."""
    return Architecture(**told) if isinstance(told, dict) else told


def architecture(preset: str, **overrides: Any) -> Architecture:
    """All sizes of a model: those of a preset, some of them replaced.

    Beside the sizes it has what follows from them: `grid` (tokens along time, height and width), `num_tokens`,
    `tubelet` (frames, rows and columns of a patch), `patch_dim` (values of a patch), `video_shape`.

    Args:
        preset: `vit_micro`, `vit_tiny`, `vit_small`, `vit_base`, `vit_large`, `vit_huge` or `vit_giant`.
        overrides: `image_size` (pixels; or height and width, as `(96, 160)`), `num_frames`, `patch_size` (pixels),
            `tubelet_size` (frames), `in_channels`, `embed_dim`, `depth`, `num_heads`, `mlp_ratio`, `positions`
            (`sincos`, `sincos_factorised` or `learnable`), `decoder_embed_dim`, `decoder_depth`, `decoder_num_heads`,
            `drop_path_rate`, `dropout_rate`, `attention_dropout_rate`, `layer_norm_epsilon`, `head_norm_epsilon`; how
            it is computed, with the same results: `attention` (`chunked`, `plain` or `fused`), `attention_chunk`,
            `lean`, `remat` (`none`, `blocks`).

    Raises:
        ConfigError: no such preset or size, with the nearest name, or sizes that do not fit together.

    Example:
        >>> import mae
        >>> sizes = mae.architecture("vit_base", image_size=112, num_frames=8)
        >>> sizes.grid, sizes.num_tokens, sizes.tubelet, sizes.patch_dim
        ((4, 7, 7), 196, (2, 16, 16), 1536)
    """
    check_choice("model preset", preset, PRESETS)
    for name in overrides:
        check_choice("model size", name, [field.name for field in fields(Architecture)])
    return replace(PRESETS[preset], **overrides)
