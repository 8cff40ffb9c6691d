"""What an interrupted test left is taken up by the same test only."""

from dataclasses import replace

import numpy as np
import pytest

from mae.data.clips import ClipReader, ClipSpec
from mae.data.config import TestViews
from mae.data.lists.video_index import VideoIndex
from mae.evaluation.multi_view.evaluator import VideoEvaluation

INDEX = VideoIndex(("a", "b", "c"), (0, 1, 0), ("x", "y"), "digest")
SPEC = ClipSpec(4, 2, 16)
VIEWS = TestViews("dense", clips=1, crops=1)


class Reader(ClipReader):
    """Notes which videos it is asked for."""

    def __init__(self, spec):
        super().__init__(INDEX, spec, seed=0)
        self.asked = []

    def test_clips(self, example, views):
        self.asked.append(example)
        return np.zeros((1, 4, 16, 16, 3), np.uint8)


def run(spec, folder, checkpoint, batches):
    """The videos that a test reads which ends after so many batches of one clip."""
    reader, left = Reader(spec), iter(range(batches))

    def logits(clips):
        if next(left, None) is None:
            raise RuntimeError("killed")
        return np.array([[1.0, 0.0]])

    evaluation = VideoEvaluation(logits, reader, ("x", "y"), batch_size=1, workers=1)
    if batches < 3:
        with pytest.raises(RuntimeError, match="killed"):
            evaluation.test(folder, VIEWS, checkpoint)
    else:
        evaluation.test(folder, VIEWS, checkpoint)
    return sorted(reader.asked)


@pytest.mark.parametrize(
    ("change", "read"),
    [({}, [1, 2]), ({"frame_stride": 4}, [0, 1, 2]), ({"num_frames": 8}, [0, 1, 2]), ({"image_size": 32}, [0, 1, 2]),
     ({"short_clip": "loop"}, [0, 1, 2])],
)  # fmt: skip
def test_scores_of_other_frames_are_not_mixed_in(change, read, tmp_path):
    checkpoint = tmp_path / "weights"
    checkpoint.write_bytes(b"weights")
    run(SPEC, tmp_path / "run", checkpoint, batches=1)
    assert run(replace(SPEC, **change), tmp_path / "run", checkpoint, batches=3) == read
