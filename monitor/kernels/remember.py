"""Sets of 64-bit keys that say what was met before, and the keys of events. Compiled in ``remember.c``.

Here is what it does with sets; of events ``tally/duplicates.py`` says it.
"""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
from numpy.typing import NDArray

from monitor.events.columns import EventBatch
from monitor.kernels.library import address, library

Keys = NDArray[np.uint64]

_SMALLEST = 1024
_FULL = 0.6
"""The share of used slots above which a set doubles: probes stay within a line of the cache or two."""


@cache
def _compiled() -> ctypes.CDLL | None:
    loaded = library()
    if loaded is not None:
        long, size, at = ctypes.c_int64, ctypes.c_uint64, ctypes.c_void_p
        loaded.mw_keys_of.argtypes, loaded.mw_keys_of.restype = (long, *[at] * 5, long, *[at] * 4), None
        loaded.mw_enter.argtypes = (long, at, at, size)
        loaded.mw_enter.restype = None
        loaded.mw_remember.argtypes = (long, at, at, size, at, size, at, size, long, at, at)
        loaded.mw_remember.restype = long
    return loaded


def keys_of(batch: EventBatch, kinds: Keys) -> Keys | None:
    """The key of each event, shape ``(n,)``, 0 where it has no id; ``None`` where no kernel is built.

    ``kinds`` (512,) is a number by an event's parts.
    """
    kernels, keys = _compiled(), np.empty(len(batch), np.uint64)
    if kernels is None:
        return None
    of_events = [address(x) for x in (batch.model.hash, batch.id.hash, batch.id.length, batch.parts, kinds)]
    of_entries = [address(x) for x in (batch.event, batch.space, batch.text.hash)]
    kernels.mw_keys_of(len(batch), *of_events, len(batch.event), *of_entries, address(keys))
    return keys


class KeySet:
    """A set of keys that are not 0, in a table with open addressing of 8-byte slots.

    It begins with room for ``expected`` keys and doubles: a key takes 14 to 27 bytes once there are thousands.
    """

    def __init__(self, expected: int = 0) -> None:
        self.slots: Keys = np.zeros(_slots_for(expected), np.uint64)
        self.used = 0

    def __len__(self) -> int:
        return self.used

    @property
    def mask(self) -> int:
        """Slots minus one; the number of slots is a power of two."""
        return len(self.slots) - 1

    def keys(self) -> Keys:
        """All keys, in no order."""
        held: Keys = self.slots[self.slots != 0]
        return held

    def make_room(self, more: int) -> None:
        """See to it that ``more`` keys can be entered."""
        slots = _slots_for(self.used + more)
        if slots > len(self.slots):
            old, self.slots = self.slots, np.zeros(slots, np.uint64)
            enter(old, self.slots)

    def restore(self, keys: Keys) -> None:
        """Enter ``keys``, which are distinct and not in the set."""
        self.make_room(len(keys))
        enter(keys, self.slots)
        self.used += len(keys)


def _slots_for(n: int) -> int:
    return int(max(_SMALLEST, 1 << int(np.ceil(np.log2(max(n, 1) / _FULL)))))


def enter(keys: Keys, slots: Keys) -> None:
    """Put ``keys`` into the table ``slots``, which has room; zeros are passed over."""
    kernels = _compiled()
    if kernels is None:
        enter_twin(keys, slots)
        return
    keys = np.ascontiguousarray(keys)
    kernels.mw_enter(len(keys), address(keys), address(slots), len(slots) - 1)


def enter_twin(keys: Keys, slots: Keys) -> None:
    """What :func:`enter` does, in Python."""
    mask = len(slots) - 1
    for key in keys[keys != 0].tolist():
        slot = key & mask
        while int(slots[slot]) not in (0, key):
            slot = (slot + 1) & mask
        slots[slot] = key


def remember(keys: Keys, oldest: KeySet, older: KeySet, newest: KeySet, room: int) -> NDArray[np.bool_]:
    """Whether each key was met before, in its order; those that were not are entered into ``newest``.

    A key of 0 was never met and is not entered. The answer ends short of the key that would have been the
    ``room + 1``-th to be entered: shape ``(m,)`` with ``m <= n``.
    """
    newest.make_room(min(len(keys), room))
    kernels = _compiled()
    if kernels is None:
        return remember_twin(keys, oldest, older, newest, room)
    keys = np.ascontiguousarray(keys)
    met = np.empty(len(keys), np.bool_)
    entered = ctypes.c_int64()
    tables = [part for each in (oldest, older, newest) for part in (address(each.slots), each.mask)]
    n = kernels.mw_remember(len(keys), address(keys), *tables, room, address(met), ctypes.byref(entered))
    newest.used += entered.value
    return met[:n]


def remember_twin(keys: Keys, oldest: KeySet, older: KeySet, newest: KeySet, room: int) -> NDArray[np.bool_]:
    """What :func:`remember` does, in numpy; ``newest`` has room."""
    met = np.zeros(len(keys), np.bool_)
    for each in (oldest, older, newest):
        met |= _holds(each.slots, keys)
    _, first = np.unique(keys, return_index=True)
    again = np.ones(len(keys), np.bool_)
    again[first] = False
    met |= again
    met[keys == 0] = False
    new = np.flatnonzero(~met & (keys != 0))
    stop = int(new[room]) if len(new) > room else len(keys)
    enter_twin(keys[new[:room]], newest.slots)
    newest.used += min(len(new), room)
    return met[:stop]


def _holds(slots: Keys, keys: Keys) -> NDArray[np.bool_]:
    """Whether ``slots`` hold each key, all of them probing at once; of 0 it says nothing."""
    mask = len(slots) - 1
    held = np.zeros(len(keys), np.bool_)
    pending = np.arange(len(keys))
    at = (keys & np.uint64(mask)).astype(np.int64)
    while pending.size:
        found = slots[at] == keys[pending]
        held[pending[found]] = True
        further = ~found & (slots[at] != 0)
        pending, at = pending[further], (at[further] + 1) & mask
    return held
