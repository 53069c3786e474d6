"""How the sums of blocks are taken when their ticks close. Compiled in ``gather.c``; here in numpy."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, taking
from monitor.kernels.tally import EVENTS
from monitor.kernels.tally import Counts as OpenCounts

EMPTY_MOMENTS = (0.0, 0.0, np.inf, -np.inf)
"""Of no values: their number, their sum, the least and the largest."""

_P, _N = ctypes.c_void_p, ctypes.c_int64
_FILLED = ("facts", "heads", "of_series", "facts_moments", "series_moments")

Counts = NDArray[np.uint32]
Moments = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Due:
    """``m`` blocks of an arena: rows ``[base, base + size)`` (m,) of ``counts`` (rows, 40) and ``moments`` (rows, 4).

    The first row of a block is its model's own. Of the ``k`` series behind them all ``denominator`` (k,) is the column
    of that row which counts the events that could have had a value, ``number`` (k,) tells that values are numbers.
    """

    base: Ints
    size: Ints
    counts: OpenCounts
    moments: Moments
    denominator: Ints
    number: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Taken:
    """What is filled: ``facts`` (m + k, 40) have the rows of all blocks, as they are logged, with ``facts_moments``.

    ``heads`` (m, 40) are the first rows; ``of_series`` (k, 40) and ``series_moments`` (k, 4) all others as they are
    judged. Of what is no number the log has no moments: hashes of categories do not compress.
    """

    facts: Counts
    heads: Counts
    of_series: Counts
    facts_moments: Moments
    series_moments: Moments


class _GatherCall(ctypes.Structure):
    """``gather_call`` of ``gather.c``."""

    _fields_ = (
        ("blocks", _N),
        *((name, _P) for name in ("base", "size")),
        ("width", _N),
        *((name, _P) for name in ("counts", "moments")),
        ("events", _N),
        *((name, _P) for name in ("denominator", "number", *_FILLED)),
    )


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernel of ``gather.c``; ``None`` where the twin must do."""
    return taking("mw_gather", _GatherCall)


def gather(blocks: Due, taken: Taken) -> None:
    """Fill ``taken`` with the sums of ``blocks``."""
    kernel = compiled()
    if kernel is None:
        gather_twin(blocks, taken)
        return
    call = _GatherCall(
        len(blocks.base),
        *(address(each) for each in (blocks.base, blocks.size)),
        blocks.counts.itemsize,
        *(address(each) for each in (blocks.counts, blocks.moments)),
        EVENTS,
        *(address(each) for each in (blocks.denominator, blocks.number)),
        *(address(getattr(taken, name)) for name in _FILLED),
    )
    kernel.mw_gather(ctypes.byref(call))


def gather_twin(blocks: Due, taken: Taken) -> None:
    """What :func:`gather` does, in numpy."""
    stops = np.cumsum(blocks.size)
    starts = stops - blocks.size
    at = np.arange(len(taken.facts)) + np.repeat(blocks.base - starts, blocks.size)
    of_series = np.ones(len(at), bool)
    of_series[starts] = False
    taken.facts[:], taken.facts_moments[:] = blocks.counts[at], blocks.moments[at]
    taken.heads[:] = taken.facts[starts]
    of = np.repeat(np.arange(len(starts)), blocks.size - 1)
    taken.facts[of_series, EVENTS] = taken.heads[of, blocks.denominator]
    taken.of_series[:], taken.series_moments[:] = taken.facts[of_series], taken.facts_moments[of_series]
    of_numbers = of_series
    of_numbers[of_series] = blocks.number
    taken.facts_moments[~of_numbers] = EMPTY_MOMENTS
