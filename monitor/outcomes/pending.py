"""Cases that wait: a bounded buffer in memory before a store, and lists of when each of them is due."""

from __future__ import annotations

import struct
from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.errors import StoreError
from monitor.kernels.join import Joined, join
from monitor.kernels.sieve import Sieve
from monitor.kernels.table import Table
from monitor.outcomes.case import CASE, CLOSED, GONE, HAS_PREDICTION, OPEN, WIDE, Cases, as_dtype, blank
from monitor.outcomes.packing import entity_of, packed, unpacked

BUFFERED_MAX = 262_144
"""Cases in memory at which a commit is asked for: about 60 MB."""
CHUNK = 65_536
"""Cases that mature at once."""
_SIEVED_MIN, _SIEVED_MORE = 8192, 1.5
"""Keys that a sieve has room for at least, and for each key that is stored when it is made."""

CASE_PREFIX, DUE_PREFIX = b"C", b"W"
_CASE_KEY = np.dtype([("prefix", "S1"), ("key", ">u8")])
_DUE_KEY = struct.Struct(">QQ")
_EPOCH = 1 << 62
"""Added to times in milliseconds, so that those before 1970 are in order too."""

Keys = NDArray[np.uint64]
Indices = NDArray[np.int64]
Lists = list[Keys]


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

    def delete_range(self, first: bytes, last: bytes) -> None:
        """Remove the keys from ``first`` on, short of ``last``."""
        ...


class Pending:
    """Finds cases by key, and hands over those that are due.

    A key is 64 bits of model and id. All that changes is first in the buffer; :meth:`save` writes it, and lets go of
    the buffer when that has grown. What is read is the same wherever a case lies.
    """

    def __init__(self) -> None:
        self.cases = blank(1024)
        self.passed = -np.inf
        """The newest ``due`` that was taken."""
        self.buffered_max = BUFFERED_MAX
        self.room = 0
        """How many more cases may wait, less than 0 where fewer should; who lets cases in and out keeps it."""
        self._store: CaseStore | None = None
        self._sieve = Sieve()
        """Holds all keys in the store, and others that were; one that it does not hold is not asked for."""
        self._index = Table()
        self._end = 0
        self._free: Indices = np.zeros(0, np.int64)
        self._dirty = np.zeros(1024, bool)
        self._stored = np.zeros(1024, bool)
        self._dues: list[float] = []
        self._listed: dict[float, list[Keys]] = {}
        self._lists = 0
        self._finished: list[float] = []
        self._gone: list[Keys] = []
        """Stored cases that were forgotten without being read, until that is written."""

    @property
    def crowded(self) -> bool:
        """Whether the buffer should be written soon."""
        return self._end - len(self._free) >= self.buffered_max

    def attach(self, store: CaseStore) -> None:
        """Read on from ``store``, which holds what :meth:`save` wrote; the buffer has nothing that it lacks."""
        self._store = store
        for due, number, _ in self._stored_lists():
            self._expect(due)
            self._lists = max(self._lists, number + 1)
        self._sift()

    def dues(self, until: float) -> NDArray[np.float64]:
        """When cases are due, up to ``until``, in order."""
        return np.array(self._dues[: bisect_right(self._dues, until)])

    @property
    def next_due(self) -> float:
        """When the next cases are due; infinite where there are none."""
        return self._dues[0] if self._dues else np.inf

    def find(self, keys: Keys) -> Indices:
        """Rows in :attr:`cases` of ``keys``, read from the store where they are not at hand; -1: unknown."""
        rows = self._at_hand(keys)
        rows[(rows >= 0) & (self.cases["stage"][rows] == GONE)] = -1
        return rows

    def meet(self, columns: dict[str, NDArray[Any]]) -> Joined:
        """Bring events to their cases by the compiled loop; ``columns`` as in ``kernels/join.py``, but for ``row``."""
        keys = columns["key"]
        rows = self._at_hand(keys)
        spare = self._spare(min(int(np.count_nonzero(rows < 0)), max(self.room, 0)))
        joined = join({**columns, "row": rows}, self.cases, self._dirty, self._index, spare, self.room)
        self._take_spare(spare[: joined.n_new])
        self.room = joined.room
        self._list(keys[joined.listed], columns["due"][joined.listed])
        return joined

    def add(self, cases: Cases) -> Indices:
        """Let in new cases, keys distinct and unknown; returns their rows."""
        rows = self._index.find(cases["key"]).astype(np.int64)
        known = rows >= 0
        self.cases[rows[known]] = self._own(cases[known])
        rows[~known] = self._put(cases[~known], stored=False)
        self._dirty[rows] = True
        self.list(rows)
        return rows

    def widen(self) -> None:
        """Make room for lists in the cases at hand."""
        self.cases = as_dtype(self.cases, WIDE)

    def list(self, rows: Indices) -> None:
        """Note when ``rows`` are due; a case is looked at where its own ``due`` says so."""
        self._list(self.cases["key"][rows], self.cases["due"][rows])

    def touch(self, rows: Indices) -> None:
        """Note that ``rows`` changed."""
        self._dirty[rows] = True

    def take(self, due: float) -> Iterator[Cases]:
        """Hand over what is due at ``due``, ordered by key, in pieces; copies. The caller says what becomes of each.

        Of every piece, :meth:`close` and :meth:`forget` must be told before the next one is asked for.
        """
        keys = self._due_keys(due)
        self._dues.remove(due)
        for start in range(0, len(keys), CHUNK):
            piece = keys[start : start + CHUNK]
            rows = self._index.find(piece).astype(np.int64)
            here = rows >= 0
            cases = self.cases[rows[here]]
            away = piece[~here]
            if len(away) and self._store is not None:
                read = self._read(away)[1]
                dtype = WIDE if WIDE in (read.dtype, cases.dtype) else cases.dtype
                cases = np.concatenate([as_dtype(cases, dtype), as_dtype(read, dtype)])
            cases = cases[(cases["due"] == due) & (cases["stage"] != GONE)]
            yield cases[np.argsort(cases["key"], kind="stable")]
        self.passed = due

    def close(self, cases: Cases, until: NDArray[np.float64]) -> None:
        """Remember of ``cases``, which have matured, no more than that they have, until ``until``."""
        short = blank(len(cases))
        short["key"], short["model"], short["due"], short["stage"] = cases["key"], cases["model"], until, CLOSED
        rows = self._index.find(cases["key"]).astype(np.int64)
        here = rows >= 0
        self.cases[rows[here]] = self._own(short[here])
        self._dirty[rows[here]] = True
        away = self._put(short[~here], stored=True)
        self._dirty[away] = True
        self._list(short["key"], until)

    def forget(self, keys: Keys) -> None:
        """Let go of cases for good."""
        rows = self._index.find(keys).astype(np.int64)
        here = rows >= 0
        self._gone.append(keys[~here])
        rows = rows[here]
        self.cases["stage"][rows] = GONE
        self._dirty[rows] = True
        self._release(rows[~self._stored[rows]])

    def unlist(self, keys: Keys, due: NDArray[np.float64]) -> None:
        """Take ``keys`` off the lists of when they are due; the rest of a list stays."""
        for moment in np.unique(due).tolist():
            lists = self._lists_of(moment)
            self._finished.append(moment)
            self._listed[moment] = [np.setdiff1d(np.concatenate(lists), keys)] if lists else []

    def keys_of_entity(self, entity: np.uint64) -> Keys:
        """The keys of all waiting cases of an ``entity`` (hash): every case is looked at, in memory and on disk."""
        held = self.cases[: self._end]
        found = held["key"][(held["entity"] == entity) & (held["stage"] == OPEN)].tolist()
        if self._store is not None:
            wanted = entity.tobytes()
            for key, value in self._store.scan_prefix(CASE_PREFIX):
                if entity_of(value) == wanted:
                    found.append(int.from_bytes(key, "big"))
        return np.unique(np.array(found, np.uint64))

    def save(self, writes: CaseWrites) -> None:
        """Give all that changed to ``writes``."""
        rows = np.flatnonzero(self._dirty[: self._end])
        # What comes in the order of its keys is put behind what came before it, without a search.
        rows = rows[np.argsort(self.cases["key"][rows])]
        changed, alive = self.cases["key"][rows], self.cases["stage"][rows] != GONE
        # What came anew behind what was forgotten must be written behind its removal.
        for keys in (changed[~alive], *self._gone):
            for key in _case_keys(keys):
                writes.delete(key)
        self._enter(changed[alive & ~self._stored[rows]])
        writes.put_many(_case_keys(changed[alive]), packed(self.cases, rows[alive]))
        for due in self._finished:
            writes.delete_range(_due_key(due, 0), _due_key(due, (1 << 64) - 1))
        for due, lists in self._listed.items():
            writes.put(_due_key(due, self._lists), np.concatenate(lists).tobytes())
            self._lists += 1
        self._gone, self._finished, self._listed = [], [], {}
        self._dirty[: self._end] = False
        self._stored[rows] = True
        self._release(rows[~alive])
        if self._store is not None and self._end - len(self._free) > self.buffered_max // 2:
            self._empty()

    def _list(self, keys: Keys, due: NDArray[np.float64]) -> None:
        for moment in np.unique(due).tolist():
            self._expect(moment)
            self._listed.setdefault(moment, []).append(keys[due == moment])

    def _at_hand(self, keys: Keys) -> Indices:
        """Rows of ``keys``, those of forgotten cases too; read from the store where they are not at hand."""
        rows = self._index.find(keys).astype(np.int64)
        missing = np.flatnonzero(rows < 0)
        if len(missing) and self._store is not None:
            missing = missing[self._sieve.may_hold(keys[missing])]
            self._put(self._read(np.unique(keys[missing]))[1], stored=True)
            rows[missing] = self._index.find(keys[missing])
        return rows

    def _enter(self, keys: Keys) -> None:
        """Note that ``keys`` come into the store; they are listed. Now and then what has gone is forgotten by this."""
        if len(keys) > self._sieve.room:
            self._sift()
        else:
            self._sieve.enter(keys)

    def _sift(self) -> None:
        """Make the sieve anew: of all keys that are listed, in the store or not yet, for no case is on no list."""
        fresh = [keys for lists in self._listed.values() for keys in lists]
        n = sum(map(len, fresh)) + sum(len(keys) for _, _, keys in self._stored_lists())
        self._sieve = Sieve(max(_SIEVED_MIN, round(_SIEVED_MORE * n)))
        for keys in fresh:
            self._sieve.enter(keys)
        for due, _, keys in self._stored_lists():
            if due not in self._finished:
                self._sieve.enter(keys)

    def _stored_lists(self) -> Iterator[tuple[float, int, Keys]]:
        """When each list of the store is due, its number, and its keys."""
        if self._store is not None:
            for key, blob in self._store.scan_prefix(DUE_PREFIX):
                milliseconds, number = _DUE_KEY.unpack(key)
                yield (milliseconds - _EPOCH) / 1000.0, number, _listed_in(blob)

    def _read(self, keys: Keys) -> tuple[Indices, Cases]:
        """Stored cases as they are now: what was due since they were written has matured or is gone."""
        assert self._store is not None
        places, cases = unpacked(keys, self._store.get_many(_case_keys(keys)))
        kept = cases["due"] > self.passed
        return places[kept], cases[kept]

    def _due_keys(self, due: float) -> Keys:
        lists = self._lists_of(due)
        self._finished.append(due)
        return np.unique(np.concatenate(lists)) if lists else np.zeros(0, np.uint64)

    def _lists_of(self, due: float) -> Lists:
        """All lists of what is due at ``due``; those that are not stored yet are taken away."""
        lists = self._listed.pop(due, [])
        if self._store is not None and due not in self._finished:
            lists += [_listed_in(blob) for _, blob in self._store.scan_prefix(_due_prefix(due))]
        return lists

    def _expect(self, due: float) -> None:
        at = bisect_right(self._dues, due)
        if not at or self._dues[at - 1] != due:
            insort(self._dues, due)

    def _put(self, cases: Cases, *, stored: bool) -> Indices:
        """Rows for ``cases`` in the buffer."""
        rows = self._spare(len(cases))
        self._take_spare(rows)
        self.cases[rows] = self._own(cases)
        self._stored[rows], self._dirty[rows] = stored, False
        self._index.insert_many(cases["key"], rows.astype(np.int32))
        return rows

    def _spare(self, n: int) -> Indices:
        """The next ``n`` rows that are free: those that were let go of, then new ones."""
        reused = self._free[: min(n, len(self._free))]
        end = self._end + n - len(reused)
        if end > len(self.cases):
            self._grow(end)
        return np.concatenate([reused, np.arange(self._end, end)])

    def _take_spare(self, rows: Indices) -> None:
        """Take ``rows``, the first of what :meth:`_spare` gave; they hold nothing that is stored."""
        reused = min(len(rows), len(self._free))
        self._free = self._free[reused:]
        self._end += len(rows) - reused
        self._stored[rows] = False

    def _own(self, cases: Cases) -> Cases:
        """``cases`` as those at hand are; these get room for lists with the first that has one."""
        if cases.dtype == WIDE:
            self.widen()
        return as_dtype(cases, self.cases.dtype)

    def _grow(self, end: int) -> None:
        """Make room for rows up to ``end``, and as much again; it takes no memory until it is used."""
        room = max(end, 2 * len(self.cases))
        for name in ("cases", "_dirty", "_stored"):
            held = getattr(self, name)
            wider = np.zeros(room, held.dtype)
            wider[: len(held)] = held
            setattr(self, name, wider)

    def _release(self, rows: Indices) -> None:
        self._index.forget(self.cases["key"][rows])
        self._dirty[rows] = False
        self._free = np.concatenate([self._free, rows])

    def _empty(self) -> None:
        """Let go of the buffer; all of it is stored. The room for the next one takes no memory until it is used."""
        room = len(self.cases)
        self.cases = np.zeros(room, CASE)
        self._dirty, self._stored = np.zeros(room, bool), np.zeros(room, bool)
        self._index, self._end, self._free = Table(len(self._index.keys)), 0, self._free[:0]


def matured(cases: Cases) -> NDArray[np.bool_]:
    """Which of the cases that are due have a prediction, so that they count."""
    complete: NDArray[np.bool_] = (cases["stage"] == OPEN) & ((cases["has"] & HAS_PREDICTION) > 0)
    return complete


def _case_keys(keys: Keys) -> list[bytes]:
    whole = np.empty(len(keys), _CASE_KEY)
    whole["prefix"], whole["key"] = CASE_PREFIX, keys
    made: list[bytes] = whole.view("V9").tolist()
    return made


def _listed_in(blob: bytes) -> Keys:
    """The keys of a stored list."""
    if len(blob) % 8:
        raise StoreError(f"a list of cases that are due has {len(blob)} bytes, 8 a case were expected")
    return np.frombuffer(blob, np.uint64)


def _due_prefix(due: float) -> bytes:
    return DUE_PREFIX + struct.pack(">Q", round(due * 1000.0) + _EPOCH)


def _due_key(due: float, number: int) -> bytes:
    return DUE_PREFIX + _DUE_KEY.pack(round(due * 1000.0) + _EPOCH, number)
