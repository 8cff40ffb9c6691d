import os
import signal
import threading
import time

import cv2
import numpy as np
import pytest
from patience import PATIENCE

from mae.data.executors import Threads, call, result_of, workers_of
from mae.data.pack.__main__ import PackConfig, pack
from mae.data.scan.__main__ import ScanConfig, scan
from mae.data.side_by_side import in_groups, side_by_side
from mae.errors import BadVideo, ConfigError


def test_threads_are_an_executor():
    pool = Threads(2)
    assert list(pool.map(pow, [2, 3], [3, 2])) == [8, 9]
    assert isinstance(pool.submit(int, "no number").exception(), ValueError)
    pool.shutdown()


def test_what_waits_is_given_up_and_what_runs_is_not_waited_for():
    go, begun = threading.Event(), threading.Event()
    with workers_of(None, threads=1, leave_within_s=0.01) as workers:
        running = workers.executor.submit(lambda: (begun.set(), go.wait(PATIENCE)))
        assert begun.wait(PATIENCE)
        waiting = workers.executor.submit(int)
    assert waiting.cancelled()
    assert not running.done()
    go.set()
    assert running.result(PATIENCE)[1]


def test_bad_videos_are_results_and_groups_with_one_are_tried_one_by_one():
    calls = []

    def work(group):
        calls.append(list(group))
        if 3 in group:
            raise BadVideo("three")
        return [10 * item for item in group]

    with workers_of(None, threads=1) as workers:
        found = dict(in_groups(work, [1, 2, 3, 4, 5], workers, 2))
    assert str(found.pop(3)) == "three"
    assert found == {1: 10, 2: 20, 4: 40, 5: 50}
    assert calls == [[1, 2], [3, 4], [5], [3], [4]]


def test_a_function_is_called_by_its_name():
    assert call("os.path", "basename", "a/b") == "b"


class KilledWorker(Exception):
    """As distributed calls it."""


def test_what_a_cluster_says_is_told_in_one_line():
    pool = Threads(1)

    def raises(error):
        raise error

    with pytest.raises(BadVideo, match="every worker that read it was killed"):
        result_of(finished(pool.submit(raises, KilledWorker())))
    with pytest.raises(KeyError):
        result_of(finished(pool.submit(raises, KeyError())))
    cancelled = pool.submit(int)
    cancelled.cancel()
    pool.shutdown()
    if cancelled.cancelled():
        with pytest.raises(ConfigError, match="the cluster of executor= is gone; call again"):
            result_of(cancelled)


def finished(future):
    future.exception(PATIENCE)
    return future


def test_no_more_is_submitted_than_may_wait():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    with workers_of(None, threads=1) as workers:
        pairs = side_by_side(abs, items(), workers, PATIENCE)
        next(pairs)
        assert len(taken) <= workers.at_once + 1
        pairs.close()


def test_a_cluster_that_is_none(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("mae.data.executors.CONNECT_WITHIN_S", 0.2)
    with pytest.raises(ConfigError, match=r"executor=dask://127\.0\.0\.1:9: no scheduler answers there within 0\.2 s"):
        workers_of("dask://127.0.0.1:9").__enter__()
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"needs dask\.distributed: pip install 'mae-video\[cluster\]'"):
        workers_of("dask://127.0.0.1:9").__enter__()


@pytest.fixture(scope="module")
def cluster():
    """Two workers, each a process of its own."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster


def address(cluster):
    return cluster.scheduler_address.replace("tcp://", "dask://")


def videos_in(folder, count):
    for number in range(count):
        (folder / f"v{number:02d}").mkdir(parents=True)
        for frame in range(3):
            cv2.imwrite(str(folder / f"v{number:02d}" / f"{frame}.png"), np.full((16, 16, 3), 10 * number, np.uint8))
    return folder


@pytest.mark.processes
@pytest.mark.filterwarnings("default")  # of distributed
def test_work_of_a_killed_worker_is_done_by_another(cluster, tmp_path):
    """Of a command, by a signal from outside, and of a call, in the middle of it."""
    pids = cluster.get_client().run(os.getpid)
    folder, out = videos_in(tmp_path / "in", 12), tmp_path / "out"

    def kill_one():
        while not list(out.rglob("*.zip")):
            time.sleep(0.001)
        os.kill(next(iter(pids.values())), signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    outcome = pack(folder, out, PackConfig(videos_per_file=5, executor=address(cluster)))
    killer.join(PATIENCE)
    assert not killer.is_alive()
    assert (len(outcome.packed), outcome.broken) == (12, {})
    assert sorted(os.listdir(out)) == ["list.csv", *(f"shard-0000{number}.zip" for number in range(3))]
    reports = scan(ScanConfig(str(out / "list.csv"), output=str(tmp_path), executor=address(cluster)))
    assert [report.frames for report in reports.values()] == [3] * 12
    marker = str(tmp_path / "once")

    def die_once(item):
        if not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return item, os.getpid()

    with workers_of(address(cluster)) as workers:
        found = [pair for pair in side_by_side(die_once, range(4), workers, 1.0) if pair]
    assert sorted(item for item, _ in found) == [0, 1, 2, 3]
    assert all(result[0] == item for item, result in found)
