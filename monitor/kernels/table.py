"""Which row a 64-bit key belongs to: an open-addressing table in two arrays, read by the kernels as it is."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, library

_SMALLEST = 1024
_FULL = 0.5
"""Above this share of used slots the table doubles: probes stay short."""

_MASK = (1 << 64) - 1

Keys = NDArray[np.uint64]


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernels of ``table.c``, ``entries.c`` and ``tally.c``; ``None`` where the twins must do."""
    loaded = library()
    if loaded is not None:
        long, size, at = ctypes.c_int64, ctypes.c_uint64, ctypes.c_void_p
        loaded.mw_mix.argtypes = (long, at, at, at)
        loaded.mw_find.argtypes = (long, at, at, at, size, at)
        loaded.mw_series.argtypes = (long, *[at] * 6, long, *[at] * 2, size, *[at] * 4)
        for width in ("", "_narrow"):
            counting, repeats = getattr(loaded, f"mw_tally{width}"), getattr(loaded, f"mw_repeats{width}")
            events = getattr(loaded, f"mw_count_events{width}")
            counting.argtypes = (long, *[at] * 19, size, *[at] * 6)
            repeats.argtypes = (long, *[at] * 5)
            events.argtypes = (long, *[at] * 5, long, *[at] * 4)
            counting.restype, repeats.restype, events.restype = long, None, None
        loaded.mw_starts.argtypes, loaded.mw_starts.restype = (long, long, at, at), None
        loaded.mw_order.argtypes, loaded.mw_order.restype = (long, at, at, at), None
        loaded.mw_insert.argtypes = (long, *[at] * 4, size)
        loaded.mw_mix.restype = loaded.mw_find.restype = None
        loaded.mw_insert.restype = loaded.mw_series.restype = long
    return loaded


def mix(a: Keys, b: Keys) -> Keys:
    """One key out of two, elementwise; never 0, which marks a free slot: ``mix`` of ``places.h``.

    ``b`` is a hash. ``a`` may be a small number, as rows are: it is spread over all bits before the two meet, else the
    same text under two neighbouring rows would have one key.
    """
    kernels = compiled()
    if kernels is None:
        return mix_twin(a, b)
    a, b = np.asarray(a, np.uint64), np.asarray(b, np.uint64)
    if a.shape != b.shape:
        shape = np.broadcast_shapes(a.shape, b.shape)
        a, b = np.broadcast_to(a, shape), np.broadcast_to(b, shape)
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    out = np.empty(a.shape, np.uint64)
    kernels.mw_mix(out.size, address(a), address(b), address(out))
    return out


def mix_twin(a: Keys, b: Keys) -> Keys:
    """What :func:`mix` does, in numpy."""
    a, b = np.asarray(a, np.uint64), np.asarray(b, np.uint64)
    with np.errstate(over="ignore"):
        h = (a + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xFF51AFD7ED558CCD)
        h = ((h ^ h >> np.uint64(32)) ^ b) * np.uint64(0xC4CEB9FE1A85EC53)
    h ^= h >> np.uint64(29)
    return np.where(h == 0, np.uint64(1), h)


def mix_one(a: int, b: int) -> int:
    """:func:`mix` of two plain integers in [0, 2**64)."""
    h = (a + 0x9E3779B97F4A7C15) * 0xFF51AFD7ED558CCD & _MASK
    h = ((h ^ h >> 32) ^ b) * 0xC4CEB9FE1A85EC53 & _MASK
    h ^= h >> 29
    return h or 1


class Table:
    """Maps 64-bit keys (not 0) to row numbers (not negative)."""

    def __init__(self, slots: int = _SMALLEST, full: float = _FULL) -> None:
        """``slots`` (a power of two) is how large it begins, ``full`` the part of them from which on it grows."""
        self.keys: Keys = np.zeros(slots, np.uint64)
        self.values: NDArray[np.int32] = np.full(slots, -1, np.int32)
        self._full, self._used = full, 0
        """Slots that hold a key; those of forgotten ones are had back when the table is made anew."""

    def __len__(self) -> int:
        return self._used

    @property
    def mask(self) -> int:
        """Slots minus one; the number of slots is a power of two."""
        return len(self.keys) - 1

    def insert(self, key: int, value: int) -> None:
        """Map ``key`` to ``value``, replacing what it was mapped to."""
        assert key != 0
        assert value >= 0
        if self._used >= self._full * len(self.keys):
            self._make_room()
        self._used += self._put(key, value)

    def insert_many(self, keys: Keys, values: NDArray[np.integer[Any]]) -> None:
        """:meth:`insert` for each of ``keys``, shape ``(n,)``, none of them 0."""
        self.reserve(len(keys))
        self.took(self._put_many(keys, values))

    def reserve(self, n: int) -> None:
        """See to it that there are free slots for ``n`` more keys, which a kernel puts in and tells :meth:`took` of."""
        if self._used + n > self._full * len(self.keys):
            self._make_room(n)

    def took(self, slots: int) -> None:
        """Note that a kernel took so many free ``slots``."""
        self._used += slots

    def forget(self, keys: Keys) -> None:
        """Let ``keys`` be found no more; those that are not there are passed over."""
        held = keys[self.find(keys) >= 0]
        self._put_many(held, np.full(len(held), -1))

    def find(self, wanted: Keys) -> NDArray[np.int32]:
        """The value of each key, shape as ``wanted``; -1 where there is none."""
        wanted = np.ascontiguousarray(wanted, np.uint64)
        out = np.empty(len(wanted), np.int32)
        if not len(wanted):
            return out
        kernels = compiled()
        if kernels is None:
            return self.find_twin(wanted)
        kernels.mw_find(len(wanted), address(wanted), address(self.keys), address(self.values), self.mask, address(out))
        return out

    def find_one(self, key: int) -> int:
        """What :meth:`find` does, for one key."""
        keys, mask = self.keys, self.mask
        slot = key & mask
        while True:
            met = int(keys[slot])
            if met == key:
                return int(self.values[slot])
            if met == 0:
                return -1
            slot = (slot + 1) & mask

    def find_twin(self, wanted: Keys) -> NDArray[np.int32]:
        """What :meth:`find` does, in numpy: all keys probe at once until each met itself or a free slot."""
        out = np.full(len(wanted), -1, np.int32)
        pending = np.arange(len(wanted))
        slots = (wanted & np.uint64(self.mask)).astype(np.int64)
        while pending.size:
            met = self.keys[slots]
            found = met == wanted[pending]
            out[pending[found]] = self.values[slots[found]]
            further = ~found & (met != 0)
            pending, slots = pending[further], (slots[further] + 1) & self.mask
        return out

    def _put(self, key: int, value: int) -> bool:
        slot = key & self.mask
        while True:
            met = int(self.keys[slot])
            if met in (0, key):
                self.keys[slot] = key
                self.values[slot] = value
                return met == 0
            slot = (slot + 1) & self.mask

    def _put_many(self, keys: Keys, values: NDArray[np.integer[Any]]) -> int:
        """Returns how many slots were taken."""
        keys, values = np.ascontiguousarray(keys, np.uint64), np.ascontiguousarray(values, np.int32)
        kernels = compiled()
        if kernels is None:
            return sum(self._put(key, value) for key, value in zip(keys.tolist(), values.tolist(), strict=True))
        slots = (address(keys), address(values), address(self.keys), address(self.values))
        return int(kernels.mw_insert(len(keys), *slots, self.mask))

    def _make_room(self, n: int = 1) -> None:
        """Slots for ``n`` further keys; those of forgotten ones are had back."""
        used = np.flatnonzero(self.values >= 0)
        keys, values, slots = self.keys[used], self.values[used], len(self.keys)
        if 2 * len(used) > self._used:
            slots *= 2
        while len(used) + n > self._full * slots:
            slots *= 2
        self.keys = np.zeros(slots, np.uint64)
        self.values = np.full(slots, -1, np.int32)
        self._used = self._put_many(keys, values)
