"""A daemon that is wrong on purpose: it stores sums with the offsets of the commit before, and forgets what it met.

The control of the fault tests: killed, it counts records twice, and an oracle that does not say so is worth nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from monitor.cli import main
from monitor.store import checkpoint
from monitor.store.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.events.raw import Partition

_save, _head = Checkpoint.save, checkpoint._head
_reached: list[dict[Partition, int]] = []
"""Where the last commits with something new had come to."""


def _save_with_old_offsets(
    self: Checkpoint, fleet: Any, time: Any, positions: Mapping[Partition, int], ticks: Any, incidents: Any
) -> None:
    if _reached[-1:] != [dict(positions)]:
        _reached.append(dict(positions))
        del _reached[:-2]
    _save(self, fleet, time, {**positions, **_reached[0]}, ticks, incidents)


def _head_without_duplicates(*told: Any) -> checkpoint.Head:
    return msgspec.structs.replace(_head(*told), duplicates=[])


Checkpoint.save = _save_with_old_offsets  # type: ignore[method-assign]
checkpoint._head = _head_without_duplicates
Checkpoint._save_keys = lambda _self, _prefix, _met, _writes: None  # type: ignore[method-assign]
sys.exit(main())
