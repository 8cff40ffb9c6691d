"""What a decoder should predict, as it is computed in training."""

from typing import Any

from keras import ops

from mae.models.lean.one_pass import one_pass
from mae.patches import gather_patches, normalised_target
from mae.presets import Architecture
from mae.target_config import Target
from mae.targets import expected_differences


def expected_of_hidden(pixels: Any, masked: Any, target: Target, a: Architecture) -> Any:
    """As `mae.targets.expected_patches`, in one pass over memory where the model is lean, and without a gradient."""
    if target.is_difference:
        of_clip = _differences_in_one_pass if a.lean else expected_differences
        made = of_clip(pixels, masked, tubelet=a.tubelet, scale=target.scale, share=target.pixels)
    else:
        of_patches = _normalised_in_one_pass if a.lean else normalised_target
        patches = gather_patches(pixels, masked, a.tubelet)
        made = of_patches(patches, target=target.name, in_channels=a.in_channels, tubelet_size=a.tubelet_size)
    return ops.stop_gradient(made)


_normalised_in_one_pass = one_pass(normalised_target)
_differences_in_one_pass = one_pass(expected_differences)
