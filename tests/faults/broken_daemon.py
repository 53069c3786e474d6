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
_before: dict[Partition, int] = {}


def _save_with_old_offsets(
    self: Checkpoint, fleet: Any, time: Any, positions: Mapping[Partition, int], ticks: Any, incidents: Any
) -> None:
    _save(self, fleet, time, {**positions, **_before}, ticks, incidents)
    _before.clear()
    _before.update(positions)


def _head_without_duplicates(*told: Any) -> checkpoint.Head:
    return msgspec.structs.replace(_head(*told), duplicates=[])


Checkpoint.save = _save_with_old_offsets  # type: ignore[method-assign]
checkpoint._head = _head_without_duplicates
Checkpoint._save_duplicates = lambda _self, _fleet, _writes: None  # type: ignore[method-assign]
Checkpoint._load_duplicates = lambda _self, _fleet, _head: None  # type: ignore[method-assign]
sys.exit(main())
