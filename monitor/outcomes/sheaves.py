"""Where stored cases lie: some that are due at one moment in one value, so that a case costs no key of its own.

A sheaf is two records of the store under a number and the moment: the keys of its cases, and the cases. Of cases that
are over it is one, of keys. It is never changed: what becomes of a case is written into a later sheaf, and the newest
says how the case is. A sheaf goes with its moment, or once each of its cases is in a later one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.errors import StoreError
from monitor.outcomes.case import CLOSED, Cases, blank
from monitor.outcomes.packing import entity_of, packed, records, unpacked

SIZE_BITS = 6
SIZE = 1 << SIZE_BITS
"""Cases in a sheaf at most: about 6 kB, what a store reads at once."""
FEW = SIZE // 2
"""A sheaf of less is thin, and so many thin ones of one moment are too many: a sheaf costs 100 bytes of memory."""
CASES, KEYS = b"w", b"W"
"""With what the records of a sheaf begin: those with its cases, and those with the keys of them.

Behind all other keys of a store, and in the order of their numbers: so those that are new lie behind all that is there.
"""

_UNDER = struct.Struct(">QQ")
_EPOCH = 1 << 62
"""Added to times in milliseconds, so that those before 1970 are in order too."""
_HERE, _MOVED, _OVER = b"\0", b"\1", b"\2"
"""How a record of keys begins: their cases lie in the sheaf; or are due at another moment now; or are over."""
_AT_ONCE = 128
"""Sheaves that are read or laid out at once: what lies between is less than a megabyte, and stays in the cache."""
_HELD_MAX = 32_768
"""Sheaves that are held while what is due matures: about 200 MB."""

Keys = NDArray[np.uint64]
Indices = NDArray[np.int64]


class CaseStore(Protocol):
    """What was written, read back."""

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """The values of ``keys``, in their order."""
        ...

    def scan_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys that begin with ``prefix``, without it, and their values."""
        ...


class CaseWrites(Protocol):
    """Takes what must be written together."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set ``key``."""
        ...

    def put_many(self, keys: list[bytes], values: list[bytes]) -> None:
        """Set each of ``keys``."""
        ...

    def delete(self, key: bytes) -> None:
        """Remove ``key``."""
        ...


class Sheaves:
    """Takes cases, and reads them again by their places: 64 to a sheaf, a place is the sheaf's slot and its own.

    A sheaf waits in memory until :meth:`save`, and is never written if it goes before that. Slots are had back when
    their sheaf goes.
    """

    def __init__(self) -> None:
        self._store: CaseStore | None = None
        self._due = np.zeros(0)
        self._number = np.zeros(0, np.int64)
        self._held, self._current = np.zeros(0, np.int16), np.zeros(0, np.int16)
        """By slot: how many cases were written, and of how many that is how they still are."""
        self._over = np.zeros(0, bool)
        """By slot: whether its cases are over."""
        self._free: list[int] = []
        self._of: dict[float, dict[int, None]] = {}
        """By moment: the slots of what is due then, in the order of their numbers."""
        self._thin: dict[float, int] = {}
        """By moment: how many thin sheaves began since these were looked for."""
        self._next = 0
        self._passed = -np.inf
        """The newest moment of which all is gone."""
        self._unwritten: dict[int, tuple[bytes, bytes]] = {}
        """By slot: the keys of a sheaf that is not in the store yet, and its cases."""
        self.unwritten_bytes = 0
        """What these take of memory."""
        self._moved: list[tuple[float, int, Keys]] = []
        self._marks: dict[float, list[int]] = {}
        """By moment: the numbers of records that say which cases are due at another one."""
        self._dropped: list[bytes] = []
        self._blotted: dict[bytes, bytes] = {}
        """What is written over records of which cases are to be removed."""
        self._at_hand, self._span = bytearray(), np.zeros((0, 2), np.int64)
        """Cases of sheaves that are read again and again; and by slot where those begin and end there, 0 if nowhere."""
        self.holds = True
        """Whether all that :meth:`hold` was asked for last is in memory: reading it again costs nothing."""

    @property
    def stored(self) -> bool:
        """Whether there is a store to read from."""
        return self._store is not None

    def attach(self, store: CaseStore) -> tuple[Keys, Indices]:
        """Go on from ``store``; returns the keys in it in the order of their writing, and their places.

        Of a key that comes again the last place counts; -1: it is no longer there.
        """
        self._store = store
        found = [(*_UNDER.unpack(under), value) for under, value in store.scan_prefix(KEYS)]
        named = [value for _, _, value in found]
        due = (np.array([milliseconds for _, milliseconds, _ in found], np.int64) - _EPOCH) / 1000.0
        number = np.array([number for number, _, _ in found], np.int64)
        kind = np.array([value[:1] for value in named], "S1")
        keys = [np.zeros(0, np.uint64), *map(_keys_in, named)]
        sizes = np.array([len(own) for own in keys[1:]], np.int64)
        lies, first = kind != _MOVED, np.full(len(found), -1)
        first[lies] = self._begin(due[lies], number[lies], sizes[lies], over=kind[lies] == _OVER) << SIZE_BITS
        for moment, mark in zip(due[~lies].tolist(), number[~lies].tolist(), strict=True):
            self._of.setdefault(moment, {})
            self._marks.setdefault(moment, []).append(mark)
        self._next = max(self._next, int(number.max(initial=-1)) + 1)  # before there was a store some began already
        whole, starts = np.concatenate(keys), np.cumsum(sizes) - sizes
        places = np.repeat(np.where(lies, first - starts, -1), sizes)
        places += np.where(np.repeat(lies, sizes), np.arange(len(whole)), 0)
        return whole[whole > 0], places[whole > 0]

    def dues(self) -> list[float]:
        """The moments at which anything is due."""
        return list(self._of)

    def due(self, places: Indices) -> NDArray[np.float64]:
        """When what lies at ``places`` is due by its sheaf."""
        due: NDArray[np.float64] = self._due[places >> SIZE_BITS]
        return due

    def count(self, places: Indices, by: int) -> None:
        """Note that the cases at ``places`` are (``by`` 1), or are no longer (-1), as they lie there."""
        n = np.bincount(places >> SIZE_BITS, minlength=len(self._current))
        self._current += (by * n).astype(np.int16)

    def read(self, keys: Keys, places: Indices, cases: Cases, rows: Indices) -> bool:
        """Read what lies at ``places``, (n,), of ``keys``, into ``rows`` of ``cases``.

        False where one of them has lists, and ``cases`` no room for such: then they are to be read again.
        """
        over = self._over[places >> SIZE_BITS]
        if over.any():
            self._tell_over(keys[over], places[over], cases, rows[over])
            keys, places, rows = keys[~over], places[~over], rows[~over]
        return not len(places) or self._read_open(keys, places, cases, rows)

    def hold(self, due: float) -> Keys:
        """Read what is due then; returns its keys, in no order: some twice, some of cases that are no longer."""
        slots = list(self._of.get(due, ()))
        if not slots:
            return np.zeros(0, np.uint64)
        named = self._read(slots, KEYS)
        if [len(each) for each in named] != (1 + 8 * self._held[slots].astype(np.int64)).tolist():
            raise StoreError("a sheaf of waiting cases has other keys than it was begun with")
        still = [slot for slot in slots if not self._over[slot]]
        self.holds = len(still) <= _HELD_MAX
        if self.holds:
            self._take_in_hand(still)
        return np.frombuffer(b"".join([each[1:] for each in named]), np.uint64)

    def finish(self, due: float) -> bool:
        """All that was due then has matured, and is removed with the next :meth:`save`; whether there was a sheaf."""
        self._passed = due
        self._thin.pop(due, None)
        slots = list(self._of.pop(due, ()))
        self._drop(slots, KEYS, CASES)
        self._dropped += (KEYS + _under(due, number) for number in self._marks.pop(due, ()))
        self._end(slots)
        self._at_hand, self.holds = bytearray(), True
        return bool(slots)

    def gone(self, places: Indices) -> NDArray[np.bool_]:
        """Which of ``places`` are of a sheaf that is gone, as long as none begins."""
        gone: NDArray[np.bool_] = self._held[places >> SIZE_BITS] == 0
        return gone

    def blot(self, keys: Keys) -> None:
        """Remove each of ``keys`` from every sheaf, those too that only hold how its case once was."""
        for slot, (named, whole) in list(self._unwritten.items()):
            if np.isin(_keys_in(named), keys).any():
                self._unwritten[slot] = blotted = _blotted(named, whole, keys)
                self.unwritten_bytes += len(blotted[1]) - len(whole)
        self._moved = [(due, number, some[~np.isin(some, keys)]) for due, number, some in self._moved]
        if self._store is None:
            return
        stored = [(under, self._blotted.get(KEYS + under, value)) for under, value in self._store.scan_prefix(KEYS)]
        held = [_keys_in(value) for _, value in stored]
        hit = np.isin(np.concatenate([np.zeros(0, np.uint64), *held]), keys)
        of = np.repeat(np.arange(len(held)), [len(own) for own in held])
        for i in np.unique(of[hit]).tolist():
            under, named = stored[i]
            whole = self._whole(under) if named.startswith(_HERE) else b""
            self._blotted[KEYS + under], whole = _blotted(named, whole, keys)
            if whole:
                self._blotted[CASES + under] = whole

    def keys_of_entity(self, entity: np.uint64) -> Keys:
        """The keys of all cases of an ``entity`` (hash): every sheaf is looked at."""
        wanted, found = entity.tobytes(), [np.zeros(0, np.uint64)]
        for named, whole in self._all():
            own = _keys_in(named)
            found.append(own[[entity_of(each) == wanted for each in _cases_in(whole, len(own))]])
        return np.concatenate(found)

    def move(self, keys: Keys, due: NDArray[np.float64]) -> None:
        """Note of ``keys`` (n,), which lie in sheaves that are ``due`` then, that they no longer are."""
        for moment in np.unique(due).tolist():
            self._moved.append((moment, self._next, keys[due == moment]))
            self._next += 1

    def add(self, cases: Cases, keys: Keys, rows: Indices) -> Indices:
        """Take ``rows`` of ``cases``, which have ``keys``, as many to a sheaf as may be; returns their places."""
        due = cases["due"][rows]
        order = np.argsort(due, kind="stable")
        rows, due = rows[order], due[order]
        cuts, named, wholes = _cuts(due), list[bytes](), list[bytes]()
        for start in range(0, len(cuts) - 1, _AT_ONCE):
            some = cuts[start : start + _AT_ONCE + 1]
            _bind(cases, keys, rows[some[0] : some[-1]], (some - some[0]).tolist(), named, wholes)
        places = np.empty(len(rows), np.int64)
        places[order] = self._lay(due[cuts[:-1]], np.diff(cuts), named, wholes, over=False)
        return places

    def close(self, keys: Keys, due: NDArray[np.float64]) -> Indices:
        """Take cases of which nothing is kept but that they are over, (n,), until ``due``; returns their places."""
        order = np.argsort(due, kind="stable")
        due, names = due[order], keys[order].tobytes()
        places, cuts = np.empty(len(keys), np.int64), _cuts(due)
        named = [_OVER + names[8 * first : 8 * last] for first, last in pairwise(cuts.tolist())]
        places[order] = self._lay(due[cuts[:-1]], np.diff(cuts), named, [b""] * len(named), over=True)
        return places

    def tidy(self, places: Indices) -> None:
        """Remove those sheaves of ``places`` of whose cases none is any more as it lies there."""
        meant = np.zeros(len(self._held), bool)
        meant[places >> SIZE_BITS] = True
        slots = np.flatnonzero(meant & (self._current == 0) & (self._held > 0))
        self._drop(slots.tolist(), KEYS, CASES)
        for slot, due in zip(slots.tolist(), self._due[slots].tolist(), strict=True):
            self._of[due].pop(slot)
        self._end(slots.tolist())

    def scattered(self) -> tuple[Keys, Indices]:
        """What lies in thin sheaves, at moments that have too many: keys and places.

        Some of these cases are no longer as they lie there. They are not told of again until as many sheaves came anew.
        """
        keys, places = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        for due in [due for due, n in self._thin.items() if n >= FEW]:
            del self._thin[due]
            slots = np.array(list(self._of[due]), np.int64)
            some = slots[(self._current[slots] < FEW) & ~self._over[slots]].tolist()
            keys += [_keys_in(value) for value in self._read(some, KEYS)]
            places += [(slot << SIZE_BITS) + np.arange(self._held[slot]) for slot in some]
        return np.concatenate(keys), np.concatenate(places)

    def save(self, writes: CaseWrites) -> None:
        """Give all that was taken to ``writes``, and what is to be removed."""
        for key, value in self._blotted.items():
            writes.put(key, value)
        for key in self._dropped:
            writes.delete(key)
        for due, number, keys in self._moved:
            if due > self._passed:
                writes.put(KEYS + _under(due, number), _MOVED + keys.tobytes())
                self._marks.setdefault(due, []).append(number)
        slots = list(self._unwritten)
        for place, prefix in enumerate((KEYS, CASES)):
            values = [value for slot in slots if (value := self._unwritten[slot][place])]
            writes.put_many(self._names(slots, prefix), values)
        self._blotted, self._dropped, self._moved = {}, [], []
        self._unwritten, self.unwritten_bytes = {}, 0

    def _lay(
        self, due: NDArray[np.float64], sizes: Indices, named: list[bytes], wholes: list[bytes], *, over: bool
    ) -> Indices:
        """Begin sheaves (k,) of so many cases with these records; returns the places of all these cases."""
        slots = self._begin(due, self._next + np.arange(len(due)), sizes, over=np.full(len(due), over))
        self._next += len(due)
        self._unwritten |= zip(slots.tolist(), zip(named, wholes, strict=True), strict=True)
        self.unwritten_bytes += sum(map(len, named)) + sum(map(len, wholes)) - len(named)
        firsts = np.cumsum(sizes) - sizes
        return np.repeat((slots << SIZE_BITS) - firsts, sizes) + np.arange(sizes.sum())

    def _drop(self, slots: list[int], *prefixes: bytes) -> None:
        """Have the records of ``slots`` removed that are in the store."""
        written = [slot for slot in slots if slot not in self._unwritten]
        for prefix in prefixes:
            self._dropped += self._names(written, prefix)

    def _read_open(self, keys: Keys, places: Indices, cases: Cases, rows: Indices) -> bool:
        """Read cases that wait; False where there is no room for the lists of one."""
        if (places[1:] < places[:-1]).any():  # they mostly come in order
            order = np.argsort(places)  # no two are one
            keys, places, rows = keys[order], places[order], rows[order]
        slot = places >> SIZE_BITS
        begins = np.ones(len(slot), bool)
        np.not_equal(slot[1:], slot[:-1], out=begins[1:])
        firsts, own = np.flatnonzero(begins), np.cumsum(begins) - 1
        step = len(firsts) if self._lie_at_hand(slot[firsts]) else _AT_ONCE
        edges = [*firsts[::step].tolist(), len(slot)]
        for start, (first, last) in zip(range(0, len(firsts), step), pairwise(edges), strict=True):
            some, part = slot[firsts[start : start + step]], slice(first, last)
            (values, starts, stops), of = self._cases(some), own[part] - start
            where = (starts[of], stops[of], self._held[some][of], places[part] & (SIZE - 1))
            if not unpacked(values, where, cases, rows[part], (keys[part], self._due[some][of])):
                return False
        return True

    def _tell_over(self, keys: Keys, places: Indices, cases: Cases, rows: Indices) -> None:
        """Say of cases that they are over, and until when that is remembered."""
        whole = np.dtype((np.void, cases.itemsize))
        cases.view(whole)[rows] = blank(1, cases.dtype).view(whole)
        cases["key"][rows], cases["due"][rows], cases["stage"][rows] = keys, self.due(places), CLOSED

    def _take_in_hand(self, slots: list[int]) -> None:
        """Hold the cases of ``slots``, behind one another: what is read in pieces is not put together for each."""
        for first in range(0, len(slots), _AT_ONCE):
            some = slots[first : first + _AT_ONCE]
            values = self._read(some, CASES)
            stops = np.cumsum([len(self._at_hand), *map(len, values)])
            self._span[some] = np.stack([stops[:-1], stops[1:]], axis=1)
            self._at_hand += b"".join(values)

    def _lie_at_hand(self, slots: Indices) -> bool:
        return len(self._at_hand) > 0 and bool((self._span[slots, 1] > 0).all())

    def _cases(self, slots: Indices) -> tuple[bytes | bytearray, Indices, Indices]:
        """Bytes in which the cases of the sheaves in ``slots`` (k,) lie, and where those of each begin and end."""
        if self._lie_at_hand(slots):
            return self._at_hand, self._span[slots, 0], self._span[slots, 1]
        values = self._read(slots.tolist(), CASES)
        stops = np.cumsum([0, *map(len, values)])
        return b"".join(values), stops[:-1], stops[1:]

    def _read(self, slots: list[int], prefix: bytes) -> list[bytes]:
        """The records of ``slots`` that begin with ``prefix``, from memory or the store."""
        stored = [slot for slot in slots if slot not in self._unwritten]
        found: list[bytes | None] = []
        if self._store is not None:
            found = self._store.get_many(self._names(stored, prefix))
        values = {slot: value for slot, value in zip(stored, found, strict=False) if value is not None}
        if len(values) < len(stored):
            raise StoreError("a sheaf of waiting cases is not where it was written")
        place = (KEYS, CASES).index(prefix)
        return [self._unwritten[slot][place] if slot in self._unwritten else values[slot] for slot in slots]

    def _all(self) -> Iterator[tuple[bytes, bytes]]:
        """The keys and the cases of all sheaves whose cases wait."""
        yield from (each for each in self._unwritten.values() if each[0].startswith(_HERE))
        if self._store is not None:
            for under, named in self._store.scan_prefix(KEYS):
                if named.startswith(_HERE):
                    yield self._blotted.get(KEYS + under, named), self._whole(under)

    def _whole(self, under: bytes) -> bytes:
        """The cases of a stored sheaf, as they are or are to be."""
        assert self._store is not None
        return self._blotted.get(CASES + under) or self._store.get_many([CASES + under])[0] or b""

    def _begin(self, due: NDArray[np.float64], number: Indices, n: Indices, *, over: NDArray[np.bool_]) -> Indices:
        """Slots for sheaves (k,) of ``n`` cases each."""
        while len(self._free) < len(due):
            self._grow()
        slots = np.array(self._free[: -len(due) - 1 : -1], np.int64)
        del self._free[len(self._free) - len(due) :]
        self._due[slots], self._number[slots], self._held[slots], self._current[slots] = due, number, n, 0
        self._over[slots] = over
        edges = [0, *(np.flatnonzero(np.diff(due)) + 1).tolist(), len(due)]
        for first, last in pairwise(edges) if len(due) else ():
            moment = float(due[first])
            self._of.setdefault(moment, {}).update(dict.fromkeys(slots[first:last].tolist()))
            if few := int(np.count_nonzero((n[first:last] < FEW) & ~over[first:last])):
                self._thin[moment] = self._thin.get(moment, 0) + few
        return slots

    def _end(self, slots: list[int]) -> None:
        """Have slots back, whose sheaves are gone."""
        for slot in slots:
            named, whole = self._unwritten.pop(slot, (b"", b""))
            self.unwritten_bytes -= len(whole) + max(len(named) - 1, 0)
        self._held[slots] = self._current[slots] = 0
        self._span[slots] = 0
        self._free += slots

    def _grow(self) -> None:
        n = len(self._due)
        more = max(n // 2, 256)
        for name in ("_due", "_number", "_held", "_current", "_over", "_span"):
            held = getattr(self, name)
            setattr(self, name, np.concatenate([held, np.zeros((more, *held.shape[1:]), held.dtype)]))
        self._free += range(n + more - 1, n - 1, -1)

    def _names(self, slots: list[int], prefix: bytes) -> list[bytes]:
        """The keys of the records of ``slots`` that begin with ``prefix``; cases that are over have but one."""
        at = np.array(slots, np.int64)
        if prefix == CASES:
            at = at[~self._over[at]]
        under = np.empty(len(at), [("number", ">i8"), ("due", ">i8")])
        under["due"] = np.round(self._due[at] * 1000.0).astype(np.int64) + _EPOCH
        under["number"] = self._number[at]
        return [prefix + each for each in under.view("V16").tolist()]


def _cuts(due: NDArray[np.float64]) -> Indices:
    """Where to cut what is ordered by ``due``: at each new moment, behind what a sheaf takes, and at the end."""
    edges = [0, *(np.flatnonzero(due[1:] != due[:-1]) + 1).tolist(), len(due)] if len(due) else [0]
    firsts = [np.arange(first, last, SIZE) for first, last in pairwise(edges)]
    return np.concatenate([*firsts, [len(due)]])


def _bind(cases: Cases, keys: Keys, rows: Indices, cuts: list[int], named: list[bytes], wholes: list[bytes]) -> None:
    """Add to ``named`` and ``wholes`` the keys and the cases of sheaves: of ``rows`` from a cut to the next each."""
    blob, lengths = packed(cases, rows)
    sizes, names = lengths.astype("<u2").tobytes(), keys[rows].tobytes()
    stops = accumulate(np.add.reduceat(lengths, cuts[:-1]).tolist(), initial=0)
    named += [_HERE + names[8 * first : 8 * last] for first, last in pairwise(cuts)]
    wholes += [
        b"".join((sizes[2 * first : 2 * last], blob[start:stop]))
        for (first, last), (start, stop) in zip(pairwise(cuts), pairwise(stops), strict=True)
    ]


def _keys_in(value: bytes) -> Keys:
    """The keys of a stored record; 0 for one that was removed."""
    kind = value[:1]
    n, spare = divmod(len(value) - 1, 8)
    if spare or kind not in (_HERE, _MOVED, _OVER):
        raise StoreError(f"the keys of waiting cases have {len(value)} bytes, 8 a case and one were expected")
    if n > SIZE and kind != _MOVED:
        raise StoreError(f"a sheaf of waiting cases has {n}, {SIZE} at most were expected")
    return np.frombuffer(value, np.uint64, n, 1)


def _cases_in(whole: bytes, n: int) -> list[bytes]:
    """The ``n`` cases of a sheaf."""
    found = records(whole, n)
    if len(found) != n:
        raise StoreError(f"a sheaf of {n} waiting cases has {len(found)}")
    return found


def _blotted(named: bytes, whole: bytes, keys: Keys) -> tuple[bytes, bytes]:
    """The records of a sheaf without the cases of ``keys``; of one of cases that moved there are the keys alone."""
    own = _keys_in(named)
    out = np.isin(own, keys)
    named = named[:1] + np.where(out, 0, own).astype(np.uint64).tobytes()
    if not named.startswith(_HERE):
        return named, b""
    kept = [b"" if away else each for away, each in zip(out.tolist(), _cases_in(whole, len(own)), strict=True)]
    return named, np.array([len(each) for each in kept], "<u2").tobytes() + b"".join(kept)


def _under(due: float, number: int) -> bytes:
    return _UNDER.pack(number, round(due * 1000.0) + _EPOCH)
