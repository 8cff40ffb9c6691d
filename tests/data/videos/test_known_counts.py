from mae.data.videos.known_counts import KnownCounts


def test_the_oldest_are_forgotten():
    counts = KnownCounts(capacity=2)
    for i in range(3):
        counts.put(("a", i, 0), i)
    assert [counts.get(("a", i, 0)) for i in range(3)] == [None, 1, 2]
