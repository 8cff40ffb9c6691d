import numpy as np
import pytest
from replicas import engine_of
from tiny import GRID, SIZES, tiny_pretrainer, videos

from mae.errors import BadVideo, ConfigError, TrainingStopped
from mae.evaluation.features import encode, pool, pool_cells
from mae.evaluation.probes.feature_cache import FeatureCache, fill
from mae.models.classifier import build_classifier
from mae.models.tokens import gather_tokens
from mae.patches import normalise, patchify

IDENTITY = {"checkpoint": "aa", "list": "bb", "clip": "4×1 center"}


def test_all_tokens_of_a_pretrainer():
    model = tiny_pretrainer()
    tokens = encode(model, videos())
    assert tokens.shape == (2, np.prod(GRID), SIZES["embed_dim"])
    # The same through the path that pre-training takes, places given in another order.
    order = np.tile(np.arange(np.prod(GRID))[::-1], (2, 1))
    patches = gather_tokens(patchify(videos(), (2, 4, 4)), order)
    np.testing.assert_allclose(np.asarray(tokens)[:, ::-1], model.encoder(patches, order), atol=1e-4)
    np.testing.assert_allclose(pool(model, tokens), np.mean(tokens, axis=1), atol=1e-6)


def test_cells_are_means_of_neighbours_of_one_time():
    model = tiny_pretrainer()
    tokens = np.random.default_rng(0).normal(size=(3, *GRID, SIZES["embed_dim"])).astype("f4")
    flat = tokens.reshape(3, -1, SIZES["embed_dim"])
    cells = np.asarray(pool_cells(model, flat, 2)).reshape(3, 2, 2, 2, -1)
    np.testing.assert_allclose(cells[1, 1, 0, 1], tokens[1, 1, :2, 2:].mean((0, 1)), atol=1e-6)
    # Four rows in three cells: two, one and one.
    uneven = np.asarray(pool_cells(model, flat, 3)).reshape(3, 2, 3, 3, -1)
    np.testing.assert_allclose(uneven[2, 0, 0, 1], tokens[2, 0, :2, 2].mean(0), atol=1e-6)
    np.testing.assert_allclose(pool_cells(model, flat, 7), flat, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_a_head_on_the_features_gives_the_classifiers_logits(pooling):
    model = build_classifier("vit_tiny", num_classes=3, pooling=pooling, init_scale=1.0, **SIZES)
    pooled = pool(model, encode(model, videos()))
    normed = pooled if pooling == "first" else model.fc_norm(pooled)
    np.testing.assert_allclose(model.head(normed), model(videos()), atol=1e-5)


def test_inference_takes_any_batch_of_pixels():
    model = tiny_pretrainer()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 16, 16, 3), "uint8")
    function = engine_of(1).inference(model, lambda clips: encode(model, clips))
    expected = encode(model, normalise((pixels / 255).astype("f4"), 3))
    np.testing.assert_allclose(function(pixels), expected, atol=2e-4)
    np.testing.assert_allclose(function(pixels[:1]), expected[:1], atol=2e-4)


def clip(video):
    if video == 3:
        raise BadVideo("no frame decodes")
    return np.full((1, 2, 2, 3), video, np.uint8)


def features(clips):
    return clips.astype("f4").mean((1, 2, 3)) + np.array([0.25, 0.5, 0.125])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_cache_goes_on_where_it_was_interrupted(tmp_path, dtype):
    computed = []

    def interrupted(clips):
        if len(computed) == 2:
            raise KeyboardInterrupt
        computed.append(clips)
        return [features(clips)]

    with pytest.raises(KeyboardInterrupt):
        fill([FeatureCache(tmp_path, IDENTITY, 8, (3,), dtype)], range(8), clip, interrupted, batch_size=2)
    again = FeatureCache(tmp_path, IDENTITY, 8, (3,), dtype)
    assert np.flatnonzero(again.done).tolist() == [0, 1, 2, 4]
    assert again.failed == {3: "no frame decodes"}
    fill([again], [5, 6, 7], clip, lambda clips: [features(clips)], batch_size=2)
    cache = FeatureCache(tmp_path, IDENTITY, 8, (3,), dtype)
    made, there = cache.read(), cache.done
    assert made.dtype == dtype
    assert there.tolist() == [True] * 3 + [False] + [True] * 4
    expected = np.arange(8)[:, None] + np.array([0.25, 0.5, 0.125])
    np.testing.assert_array_equal(made[there], expected[there])


def test_another_identity_is_another_file(tmp_path):
    first = FeatureCache(tmp_path, IDENTITY, 2, (3,))
    first.put(0, np.ones(3))
    first.save()
    for change in ({"checkpoint": "x"}, {"list": "x"}, {"clip": "x"}):
        assert not FeatureCache(tmp_path, {**IDENTITY, **change}, 2, (3,)).done.any()
    assert not FeatureCache(tmp_path, IDENTITY, 2, (3,), "float16").done.any()
    assert FeatureCache(tmp_path, IDENTITY, 2, (3,)).done.tolist() == [True, False]


def test_a_repaired_video_is_no_longer_a_failed_one_and_features_that_are_there_stay(tmp_path):
    caches = [FeatureCache(tmp_path, {**IDENTITY, "of": of}, 4, (3,)) for of in ("pooled", "tokens")]
    caches[0].put(3, np.ones(3))
    fill(caches, [2, 3], clip, lambda clips: [features(clips), 2 * features(clips)], batch_size=8)
    assert [cache.done.tolist() for cache in caches] == [[False, False, True, True], [False, False, True, False]]
    assert [cache.failed for cache in caches] == [{}, {3: "no frame decodes"}]
    np.testing.assert_array_equal(caches[1].read()[2], 2 * caches[0].read()[2])
    caches[1].put(3, np.zeros(3))
    assert caches[1].failed == {}


def test_what_is_not_finite_is_not_kept(tmp_path):
    with pytest.raises(TrainingStopped, match="not finite: more than float16 holds"):
        FeatureCache(tmp_path, IDENTITY, 2, (1,), "float16").put(0, np.array([1e6]))
    with pytest.raises(TrainingStopped, match="not finite: a damaged checkpoint"):
        FeatureCache(tmp_path, IDENTITY, 2, (1,)).put(0, np.array([np.nan]))


def test_tokens_of_each_video(tmp_path):
    cache = FeatureCache(tmp_path, IDENTITY, 3, (4, 2))
    rows = np.random.default_rng(0).random((3, 4, 2)).astype("f4")
    for video in (2, 0, 1):
        cache.put(video, rows[video])
    cache.save()
    np.testing.assert_array_equal(np.load(cache.folder / "features.npy"), rows)
    with pytest.raises(ValueError, match=r"features \(3,\) for a cache of \(4, 2\)"):
        FeatureCache(tmp_path, IDENTITY, 3, (4, 2)).put(0, np.zeros(3))


def test_damage_is_told(tmp_path):
    cache = FeatureCache(tmp_path, IDENTITY, 2, (3,))
    (cache.folder / "features.npy").unlink()
    with pytest.raises(ConfigError, match=r"is damaged .no features.npy.: remove it"):
        FeatureCache(tmp_path, IDENTITY, 2, (3,))
    (cache.folder / "status.npy").write_bytes(b"")
    with pytest.raises(ConfigError, match="is damaged"):
        FeatureCache(tmp_path, IDENTITY, 2, (3,))


def test_unknown_types():
    with pytest.raises(ConfigError, match="did you mean 'float16'"):
        FeatureCache("x", IDENTITY, 2, (3,), "floa16")
