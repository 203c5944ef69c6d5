"""One piece of work shared by several processes, each with its part of the cores; TensorFlow imported quietly."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from typing import Any

Report = Callable[[str, int], None]
Work = Callable[[list[int], Report], None]
_DONE, _FAILED = "done", "failed"
_PATIENCE = 0.5  # seconds between looks at whether all are alive


@contextmanager
def quiet_import() -> Iterator[None]:
    """Keeps what TensorFlow's C++ libraries log while they load off the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    terminal = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(work: Work, parts: Sequence[list[int]], report: Report) -> None:
    """Calls ``work(part, report)`` for each part in a process of its own, and returns when all are done.

    Args:
        work: a function of a module, or ``functools.partial`` of one, that new processes can import.
        parts: what each process is given.
        report: called here with what ``work`` reports there.

    Raises:
        OSError: if a process is killed.
        BaseException: what ``work`` raises, when it does so in any process; the others are then ended.
    """
    context = multiprocessing.get_context("spawn")
    messages: Any = context.Queue()
    threads = max(1, cores() // len(parts))
    pickled = pickle.dumps(work)  # as bytes, which a process reads when it is ready to import TensorFlow
    processes = [context.Process(target=_run, args=(pickled, part, threads, messages), daemon=True) for part in parts]
    try:
        with _interrupts_ignored():
            for process in processes:
                process.start()
        _listen(processes, messages, report)
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
            process.join()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """What processes started meanwhile inherit: Ctrl-C is for this one, which then ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _listen(processes: Sequence[SpawnProcess], messages: Any, report: Report) -> None:
    working = len(processes)
    while working:
        try:
            kind, content = messages.get(timeout=_PATIENCE)
        except queue.Empty:
            codes = [process.exitcode for process in processes if process.exitcode]
            if codes:
                raise OSError(
                    f"A process ended with exit code {codes[0]}: perhaps for want of memory. Try --jobs 1."
                ) from None
            continue
        if kind == _FAILED:
            raise content
        if kind == _DONE:
            working -= 1
        else:
            report(kind, content)


def _run(pickled: bytes, part: list[int], threads: int, messages: Any) -> None:
    """What a process does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _limit_threads(threads)
        work: Work = pickle.loads(pickled)
        work(part, lambda doing, amount: messages.put((doing, amount)))
        messages.put((_DONE, None))
    except Exception as error:
        messages.put((_FAILED, _portable(error)))


def _end_with_parent() -> None:
    """A process that was killed cannot end the others itself."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _limit_threads(threads: int) -> None:
    with quiet_import():
        import tensorflow as tf
        from threadpoolctl import threadpool_limits

        import tf_ganmex._backend  # noqa: F401

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)  # several processes on one card
        tf.config.list_logical_devices()
    threadpool_limits(threads)


def _portable(error: Exception) -> Exception:
    """An exception that can be sent to another process."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return OSError(f"{type(error).__name__}: {error}")
