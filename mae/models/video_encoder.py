"""The encoder alone: a model that turns clips into features."""

from dataclasses import asdict
from typing import Any

import keras

from mae.checks import check_videos
from mae.models.encoder import Encoder
from mae.models.whole_model import InputShapes, WholeModel
from mae.patches import normalised, patchify
from mae.presets import Architecture, architecture_of


@keras.saving.register_keras_serializable("mae")
class VideoEncoder(WholeModel):
    """All patches → encoder → the features of every token, without a decoder or a head."""

    def __init__(self, architecture: Architecture | dict[str, Any], final_norm: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        architecture = self.architecture = architecture_of(architecture)
        self.final_norm = final_norm
        self.encoder = Encoder(architecture, final_norm=final_norm, dtype=self.dtype_policy, name="encoder")

    def build(self, videos_shape: Any = None) -> None:
        a = self.architecture
        self.encoder.build((None, a.num_tokens, a.patch_dim))

    def input_shapes(self) -> InputShapes:
        return {"videos": (self.architecture.video_shape, "uint8")}

    def compute_output_shape(self, videos_shape: Any) -> Any:
        a = self.architecture
        check_videos(keras.KerasTensor(videos_shape), a)
        return (videos_shape[0], a.num_tokens, a.embed_dim)

    def call(self, videos: Any, training: bool | None = None) -> Any:
        """The tokens of each clip.

        Args:
            videos: (b, T, H, W, c) floats normalised by `architecture.statistics` (`mae.patches.normalise`), or
                uint8, which are normalised here.

        Returns:
            (b, t·h·w, d), in row-major (t, h, w) order.

        Raises:
            ValueError: videos of other sizes than the model's, or of other integers.
        """
        a = self.architecture
        check_videos(videos, a)
        return self.encoder(patchify(normalised(videos, a.statistics), a.tubelet), training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "architecture": asdict(self.architecture), "final_norm": self.final_norm}
