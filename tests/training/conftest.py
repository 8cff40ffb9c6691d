import pytest

from mae.data.config import ShapesDataset
from mae.data.shapes import ensure_shapes


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """The folder of the demo's videos, one of each class, shared by all runs."""
    root = tmp_path_factory.mktemp("shapes") / "videos"
    return ensure_shapes(
        ShapesDataset(
            "shapes",
            frame_stride=1,
            root=str(root),
            videos_per_class=1,
            seed=0,
            val_videos_per_class=1,
            classes="all",
            background="ramp",
        )
    )
