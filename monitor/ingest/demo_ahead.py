"""The demo fleet's events, drawn by a process of their own while what came before them is judged."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection

from monitor.errors import IngestError
from monitor.ingest.demo import DemoFleet, Recipe

_END = b""


@contextmanager
def drawn_ahead(recipe: Recipe) -> Iterator[Iterator[list[bytes]]]:
    """What ``DemoFleet(*recipe).slices()`` yields, byte by byte; one slice is ready while another is taken.

    The process ends with the context. What it draws depends on ``recipe`` alone, so it needs nothing else of ours.
    """
    # Not a fork: threads of the status page may run here, and what they hold would stay held.
    context = get_context("spawn")
    ours, its = context.Pipe(duplex=False)
    process = context.Process(target=_draw, args=(recipe, its), name="demo-events", daemon=True)
    process.start()
    its.close()
    try:
        yield _slices(ours)
    finally:
        ours.close()
        process.terminate()
        process.join()


def _slices(drawn: Connection) -> Iterator[list[bytes]]:
    while True:
        try:
            slice_ = drawn.recv_bytes()
        except EOFError as error:
            raise IngestError("the process that draws the demo's events has ended before they did") from error
        if slice_ == _END:
            return
        yield slice_.split(b"\n")


def _draw(recipe: Recipe, told: Connection) -> None:
    """The process: events hold no line break, so that one tells them apart."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who reads; we end with it
    with suppress(BrokenPipeError):
        for events in DemoFleet(*recipe).slices():
            if events:
                told.send_bytes(b"\n".join(events))
        told.send_bytes(_END)
