import numpy as np
import pytest

from mae.errors import BadVideo
from mae.pretraining.periodic_probe import readable_clips, spread_evenly


def test_places_are_spread_over_classes_and_list():
    assert spread_evenly(None, 100, 4) == [0, 25, 50, 75]
    assert spread_evenly(None, 2, 4) == [0, 1]
    labels = [0] * 8 + [1] * 4 + [5]
    assert spread_evenly(labels, 13, 12) == [0, 2, 4, 6, 8, 9, 10, 11, 12]
    many = np.arange(4000) % 400
    chosen = many[spread_evenly(many, 4000, 64)]
    assert (np.bincount(chosen)[np.unique(chosen)] == 4).all()
    assert len(np.unique(chosen)) == 16


def test_only_readable_clips():
    def read(index):
        if index % 2:
            raise BadVideo("odd")
        return np.full((1, 2, 2, 3), index, "u1")

    clips, kept = readable_clips(read, [0, 1, 4])
    assert kept == [0, 4]
    assert clips[:, 0, 0, 0, 0].tolist() == [0, 4]
    with pytest.raises(BadVideo, match="odd"):
        readable_clips(read, [1, 3])
