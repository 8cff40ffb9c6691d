"""Who does the work of a command: threads of this process, or a cluster that is there already.

Both are an `Executor` of `concurrent.futures`; what is submitted to a cluster has to pickle, by the name of a module
that its workers can import.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from mae.errors import BadVideo, ConfigError

CONNECT_WITHIN_S = 20.0  # to a cluster
AHEAD = 2  # calls that wait for each one that runs


@dataclass(frozen=True)
class Workers:
    """Who does the work."""

    executor: Executor
    at_once: int  # calls that may wait or be under way
    is_here: bool  # in this process, so that what they do may share its memory


class Threads(Executor):
    """Threads that never keep the process from ending, as those of `ThreadPoolExecutor` would while a file decodes."""

    def __init__(self, count: int) -> None:
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.put((future, lambda: function(*arguments, **named)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False, within_s: float | None = None) -> None:
        """Ends the threads once nothing waits; `within_s`: how long this waits for them, None: as long as it takes."""
        while cancel_futures:
            try:
                waiting = self._waiting.get_nowait()
            except queue.Empty:
                break
            if waiting is not None:
                waiting[0].cancel()
        for _ in self._threads:
            self._waiting.put(None)
        end = None if within_s is None else time.monotonic() + within_s
        for thread in self._threads if wait else ():
            thread.join(None if end is None else max(end - time.monotonic(), 0))

    def _work(self) -> None:
        while (given := self._waiting.get()) is not None:
            future, call = given
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            del given, future, call  # an idle thread holds no frames


@contextmanager
def workers_of(where: str | None, threads: int = 0, leave_within_s: float | None = None) -> Iterator[Workers]:
    """Who works until the block ends.

    Args:
        where: the address of a cluster, as dask://host:8786; None: threads of this process.
        threads: of this process; 0: one per CPU core.
        leave_within_s: how long the end of the block waits for calls that are under way in this process; None: as long
            as they take.

    Raises:
        ConfigError: the cluster does not answer, has no worker, or its library is not installed.
    """
    if where is None:
        count = threads or os.cpu_count() or 1
        pool = Threads(count)
        try:
            yield Workers(pool, AHEAD * count, True)
        finally:
            pool.shutdown(cancel_futures=True, within_s=leave_within_s)
        return
    client = _client(where)
    try:
        count = sum(client.nthreads().values())
        # More may join later. A video that ends every worker which reads it is given up after a few of them.
        yield Workers(client.get_executor(pure=False), max(AHEAD * count, 64), False)
    finally:
        client.close()


def call(module: str, function: str, *arguments: Any) -> Any:
    """Calls a function of a module by its name: what `python -m` runs is of another module than it says."""
    return getattr(import_module(module), function)(*arguments)


def result_of(future: Future[Any]) -> Any:
    """What a finished call returned; raises what it raised.

    Raises:
        BadVideo: every worker of a cluster that began it came to its end.
        ConfigError: the cluster is gone.
    """
    try:
        return future.result()
    except CancelledError as error:
        raise ConfigError("the cluster of executor= is gone; call again: it goes on where it was") from error
    except Exception as error:
        if type(error).__name__ == "KilledWorker":  # of distributed, which need not be installed
            raise BadVideo("every worker that read it was killed") from error
        raise


def _client(where: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(f"executor={where} needs dask.distributed: pip install 'mae-video[cluster]'") from error
    try:
        client = Client(where.replace("dask://", "tcp://"), timeout=CONNECT_WITHIN_S, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise ConfigError(f"executor={where}: no scheduler answers there within {CONNECT_WITHIN_S:g} s") from error
    try:
        client.wait_for_workers(1, timeout=CONNECT_WITHIN_S)
    except TimeoutError as error:
        client.close()
        raise ConfigError(f"executor={where}: no worker has joined within {CONNECT_WITHIN_S:g} s") from error
    return client
