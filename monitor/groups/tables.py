"""What is stored of attributes, groups, strata, outputs and what is counted of them: the columns of each table."""

from __future__ import annotations

import numpy as np

from monitor.catalog.rows import Field
from monitor.groups.questions import Kind

ALWAYS = -np.inf
"""When an output was born that is known before any event."""

_OF_TWO = {"first": Field(np.int32, (), -1, still=True), "second": Field(np.int32, (), -1, still=True)}
"""Of what is an intersection the two that it is made of, by name; -1 of what is not."""
ATTRIBUTES = {"key": Field(np.uint64, still=True), "model": Field(np.int32, still=True), **_OF_TWO}
GROUPS = {
    "key": Field(np.uint64, still=True),
    "attribute": Field(np.int32, still=True),
    "other": Field(np.uint8, still=True),
    **_OF_TWO,
}
STRATA = {
    "key": Field(np.uint64, still=True),
    "model": Field(np.int32, still=True),
    "judged": Field(np.uint8, still=True),
}
MEMBERS = {
    "key": Field(np.uint64, still=True),
    "group": Field(np.int32, still=True),
    "stratum": Field(np.int32, still=True),
    "base": Field(np.int32, (len(Kind),), -1, still=True),
}
OUTPUTS = {
    "key": Field(np.uint64, still=True),
    "model": Field(np.int32, still=True),
    "kind": Field(np.uint8, still=True),
    "born": Field(np.float64, (), ALWAYS, still=True),
    "tolerance": Field(np.float64, (), np.nan, still=True),
}
TALLIES = {
    "key": Field(np.uint64, still=True),
    "member": Field(np.int32, still=True),
    "output": Field(np.int32, (), -1, still=True),
    "base": Field(np.int32, still=True),
    "cell": Field(np.int32, (), -1, still=True),
    "block": Field(np.int32, still=True),
    "total": Field(np.float64, (2,)),
    "pool": Field(np.float64, (4,), aside=True),
    "last": Field(np.float64, (4,), aside=True),
    "recent": Field(np.float64, (4,), aside=True),
}
"""Cases of one group and stratum with one output. ``base`` is the tally whose ``n`` they are part of: itself, where the
kind has one output. ``total`` is (n, s) since the first event. ``pool``, ``last`` and ``recent`` are (n, s) of the
rest, then (n, s) of the group: what waits to be judged, what was judged last, and all that was judged, fading."""
BLOCKS = {"key": Field(np.uint64, still=True), "model": Field(np.int32, still=True)}
"""A block is what is closed together: all tallies of one attribute, stratum and kind."""
CELLS = {
    "key": Field(np.uint64, still=True),
    "group": Field(np.int32, still=True),
    "output": Field(np.int32, still=True),
}
