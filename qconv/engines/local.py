"""Shards as processes of this machine. One that is killed is started again, and goes on where it was."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from qconv.engines.job import RETRIES, Part, run_job
from qconv.errors import QconvError
from qconv.pipeline import Job
from qconv.statistics.observe import Progress

_REPORT = 0.2  # seconds between two reports of progress

# Not fork: onnxruntime's threads do not survive it.
_CONTEXT = get_context("spawn")


@dataclass(frozen=True)
class _Worker:
    index: int
    attempt: int
    process: SpawnProcess


def run_local(jobs: Sequence[Job], total: int | None = None, progress: Progress | None = None) -> list[Part]:
    """One process for each job; the parts of the calibration, in order. `total` is for `progress`.

    Raises what a job raises, and QconvError where the processes of a job are killed again and again.
    """
    workers = dict(_start(job, index, 0) for index, job in enumerate(jobs))
    parts: dict[int, Part] = {}
    done = dict.fromkeys(range(len(jobs)), 0)
    try:
        while workers:
            for connection in wait(list(workers)):
                assert isinstance(connection, Connection)
                worker, message = workers[connection], _receive(connection)
                if isinstance(message, QconvError):
                    raise message
                if isinstance(message, int):
                    done[worker.index] = message
                    if progress is not None:
                        progress(sum(done.values()), total)
                    continue
                del workers[connection]
                worker.process.join()
                connection.close()
                if message is not None:
                    parts[worker.index] = message
                else:
                    workers.update([_again(jobs[worker.index], worker)])
    finally:
        for worker in workers.values():
            worker.process.terminate()
            worker.process.join()
    return [parts[index] for index in range(len(jobs))]


def _start(job: Job, index: int, attempt: int) -> tuple[Connection, _Worker]:
    mine, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_work, args=(job, theirs), daemon=True)
    process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    return mine, _Worker(index, attempt, process)


def _again(job: Job, worker: _Worker) -> tuple[Connection, _Worker]:
    """The same job in a new process, unless that is hopeless."""
    code = worker.process.exitcode
    if code is None or code >= 0 or worker.attempt == RETRIES:
        raise QconvError(
            f"the process of shard {job.shard} ended {worker.attempt + 1} times without a result (last code {code}); "
            "give fewer --workers if memory is short, or run that shard alone with --shard to see why"
        )
    return _start(replace(job, resume=True), worker.index, worker.attempt + 1)


def _receive(connection: Connection) -> Part | int | QconvError | None:
    """A part of the calibration, a number of samples, a mistake; None where the process ended."""
    try:
        message: Part | int | QconvError = connection.recv()
    except (EOFError, ConnectionResetError):
        return None
    return message


def _work(job: Job, connection: Connection) -> None:
    """What a worker does in its own process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends its workers
    due = 0.0

    def report(done: int, total: int | None) -> None:
        nonlocal due
        if time.monotonic() >= due:
            connection.send(done)
            due = time.monotonic() + _REPORT

    with suppress(BrokenPipeError):  # the caller is gone
        try:
            connection.send(run_job(job, report))
        except QconvError as error:
            connection.send(error)
