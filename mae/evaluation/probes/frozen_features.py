"""Features of lists of videos from a frozen encoder, on disk, each computed once."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mae.cli.telling import tell
from mae.data.clips import ClipReader, ClipSpec
from mae.engines.engine import Engine
from mae.errors import ConfigError
from mae.evaluation.features import encode, pool
from mae.evaluation.interruptible import interruptible
from mae.evaluation.probes.feature_cache import FeatureCache, fill
from mae.evaluation.trained import Trained
from mae.picture_size import size_setting


@dataclass(frozen=True)
class Features:
    """Of one list of n videos. Rows of videos that are not `there` mean nothing."""

    pooled: np.ndarray  # (n, d) float32, memory-mapped
    tokens: np.ndarray | None  # (n, t·h·w, d), memory-mapped; None: not asked for
    there: np.ndarray  # (n,) bool
    failed: dict[int, str]  # of the videos asked for, those that cannot be read, with the reasons


@dataclass(frozen=True)
class FrozenEncoder:
    """An encoder, and where its features are kept."""

    trained: Trained
    engine: Engine
    folder: Path
    batch_size: int  # clips computed at a time, a multiple of the number of replicas
    workers: int  # videos decoded at the same time; 0: one per CPU core
    token_dtype: str | None  # of the features of every token; None: only pooled ones are kept

    def features(self, reader: ClipReader, videos: Sequence[int] | np.ndarray) -> Features:
        """Of the middle clip of some videos of the reader's list; those that are on disk already are not computed.

        Videos that could not be read the last time are tried again. Files are known by their paths: where one was
        replaced, its features are those of the old one until the folder is removed.

        Raises:
            ConfigError: the disk is too small.
            Interrupted: SIGINT or SIGTERM, after what was computed is saved.
        """
        videos = np.asarray(videos)
        caches = self._caches(reader)
        left = videos[~np.logical_and.reduce([cache.done[videos] for cache in caches])]
        if len(left) < len(videos):
            tell(f"features of {len(videos) - len(left)} videos found in {self.folder}")
        if len(left):
            self._make_room(caches, len(left))
            with interruptible("features of", "videos", self.folder) as check:
                fill(
                    caches, left.tolist(), reader.center_clip, self._compute, self.batch_size,
                    check=check, workers=self.workers,
                )  # fmt: skip
        asked = set(videos.tolist())
        failed = {video: reason for cache in caches for video, reason in cache.failed.items() if video in asked}
        there = np.logical_and.reduce([cache.done for cache in caches])
        return Features(caches[0].read(), caches[1].read() if len(caches) > 1 else None, there, failed)

    @cached_property
    def _compute(self) -> Callable[[np.ndarray], Sequence[np.ndarray]]:
        """Features of clips, one array for each cache."""
        model, keeps_tokens = self.trained.model, self.token_dtype is not None

        def function(videos: Any) -> tuple[Any, ...]:
            tokens = encode(model, videos)
            return (pool(model, tokens), tokens) if keeps_tokens else (pool(model, tokens),)

        return self.engine.inference(model, function)

    def _caches(self, reader: ClipReader) -> list[FeatureCache]:
        """Of pooled features and, where they are kept, of tokens."""
        model, spec = self.trained.model, reader.spec
        a, pooling = model.architecture, getattr(model, "pooling", "mean")
        identity = {
            "checkpoint": self.trained.checksum,
            "list": reader.index.digest,
            # The same list of other files, as of a packed copy, has the same digest.
            "paths": hashlib.sha256("\0".join(reader.index.paths).encode("utf-8", "surrogateescape")).hexdigest(),
            "clip": _described(spec),
            "model": f"{a.num_heads} heads, computes in {model.dtype_policy.compute_dtype}",
        }
        count = len(reader.index.paths)
        kinds: list[tuple[str, tuple[int, ...], str]] = [(f"pooled: {pooling}", (a.embed_dim,), "float32")]
        if self.token_dtype is not None:
            kinds.append(("tokens", (a.num_tokens, a.embed_dim), self.token_dtype))
        return [FeatureCache(self.folder, {**identity, "of": of}, count, shape, dtype) for of, shape, dtype in kinds]

    def _make_room(self, caches: Sequence[FeatureCache], count: int) -> None:
        """Says what will be computed, and raises `ConfigError` where the disk has no room for it."""
        needed = count * sum(cache.row_bytes for cache in caches)
        free = shutil.disk_usage(self.folder).free
        shape = " × ".join(str(size) for size in caches[-1].shape)
        tell(f"computing features of {count} videos, {shape} values each: {_size(needed)} in {self.folder}")
        if needed > free:
            raise ConfigError(
                f"features of {count} videos take {_size(needed)}, and {self.folder} has {_size(free)} free: "
                "give a run_dir on another disk, leave attentive out of probe.kinds or set probe.labels_per_class"
            )


def _described(spec: ClipSpec) -> str:
    """What the middle clip of a video depends on; dense ones as earlier versions wrote it, whose features stay good."""
    decoding = spec.decoding
    told = "" if decoding.channels == "rgb" else f", {decoding.count} channels ({decoding.channels})"
    told += "" if decoding.window is None else f", window {decoding.window}"
    told += "" if spec.resize == "crop" else f", {spec.resize}"
    told = f"{size_setting(spec.image_size)} pixels{told}"
    if spec.kind == "dense":
        return f"center: {spec.num_frames} frames, stride {spec.frame_stride}, {told}"
    return f"{spec.kind}: {spec.num_frames} frames, {told}"


def _size(count: float) -> str:
    """Of so many bytes."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
