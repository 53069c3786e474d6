"""In which tallies does each case count that answers a question? Compiled in ``tallied.c``; here is what it does."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, taking

_P, _N = ctypes.c_void_p, ctypes.c_int64

Rows64 = NDArray[np.int64]
Floats = NDArray[np.float64]


class _Call(ctypes.Structure):
    """``tallied_call`` of ``tallied.c``."""

    _fields_ = (
        ("cases", _N),
        *((name, _P) for name in ("event", "s", "first", "member", "base")),
        *((name, _N) for name in ("kinds", "kind")),
        *((name, _P) for name in ("of_event", "tally", "of_s", "lacking")),
        *((name, _N) for name in ("pairs", "n_lacking")),
    )


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernel of ``tallied.c``; ``None`` where the twin must do."""
    return taking("mw_tallied", _Call)


@dataclass(slots=True)
class Tallied:
    """What cases add: the ``event``, the ``tally`` and the outcome ``s`` of each pair (k,) of a case and a group.

    ``lacking`` are the members that have no tally, in the order of the pairs, which are not among the others.
    """

    event: Rows64
    tally: Rows64
    s: Floats
    lacking: Rows64


def tallied(event: Rows64, s: Floats, first: Rows64, member: Rows64, base: NDArray[np.int32], kind: int) -> Tallied:
    """What cases ``event`` (k,) with outcomes ``s`` (k,) add to the tallies of one ``kind`` of all their groups.

    The groups of event ``i`` are ``member`` from ``first[i]`` up to ``first[i + 1]``; ``base`` (members, kinds) is the
    tally of a member, -1 where it has none.
    """
    kernels = compiled()
    if kernels is None:
        return tallied_twin(event, s, first, member, base, kind)
    most = int((first[event + 1] - first[event]).sum())
    of_event, tally, lacking = np.empty((3, most), np.int64)
    of_s = np.empty(most)
    call = _Call(cases=len(event), kinds=base.shape[1], kind=kind)
    given: dict[str, NDArray[Any]] = {"event": event, "s": s, "first": first, "member": member, "base": base}
    for name, array in (given | {"of_event": of_event, "tally": tally, "of_s": of_s, "lacking": lacking}).items():
        setattr(call, name, address(array))
    kernels.mw_tallied(ctypes.byref(call))
    n = call.pairs
    return Tallied(of_event[:n], tally[:n], of_s[:n], lacking[: call.n_lacking])


def tallied_twin(
    event: Rows64, s: Floats, first: Rows64, member: Rows64, base: NDArray[np.int32], kind: int
) -> Tallied:
    """What :func:`tallied` does, in numpy."""
    pair, case = pairs(first, event)
    tally = base[member[pair], kind].astype(np.int64)
    known = tally >= 0
    return Tallied(event[case[known]], tally[known], s[case[known]], member[pair[~known]])


def pairs(first: Rows64, event: Rows64) -> tuple[Rows64, Rows64]:
    """The pairs of each of ``event``, those of ``i`` from ``first[i]`` on, and which of ``event`` each belongs to."""
    sizes = first[event + 1] - first[event]
    case = np.repeat(np.arange(len(event)), sizes)
    stops = np.cumsum(sizes)
    pair = np.arange(int(sizes.sum())) + np.repeat(first[event] - stops + sizes, sizes)
    return pair, case
