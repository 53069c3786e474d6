"""Cases that wait: a bounded buffer in memory before a store, and lists of when each of them is due."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.aside import MAPPED, Aside, Pages
from monitor.kernels.join import Joined, join
from monitor.kernels.table import Table
from monitor.outcomes.case import CASE, HAS_PREDICTION, OPEN, WIDE, Cases, as_dtype, blank, copy
from monitor.outcomes.sheaves import CaseStore, CaseWrites, Sheaves

BUFFERED_MAX = 262_144
"""Cases in the buffer at which they are folded into sheaves: about 60 MB."""
UNWRITTEN_MAX = 64 << 20
"""Bytes of these at which a commit is asked for."""
CHUNK = 65_536
"""Cases that mature at once, and keys that the index takes at once."""
_MANY = 16
"""So many times as many, where there are too many for their sheaves to be held: these are read again for each piece."""
_AWAY = 1 << 26
"""What is added to a case's place in the store where the index says that; what is less is a row of the buffer."""
_INDEX_FILLED = 0.7
"""Part of the index that is filled: it is 12 bytes a slot, and the largest thing that a case takes of memory."""

Keys = NDArray[np.uint64]
Indices = NDArray[np.int64]


class Pending:
    """Finds cases by key, and hands over those that are due.

    A key is 64 bits of model and id. All that changes is first in the buffer; when that has grown, and before
    :meth:`save` writes it, it is folded into sheaves. What is read is the same wherever a case lies. The buffer lies
    aside: it takes memory where cases were met since :meth:`save`.
    """

    def __init__(self) -> None:
        self.cases = blank(1024)
        self._aside: Aside | None = None
        self._pages: Pages | None = None
        self.buffered_max = BUFFERED_MAX
        self.room = 0
        """How many more cases may wait, less than 0 where fewer should; who lets cases in and out keeps it."""
        self._sheaves = Sheaves()
        self._index = Table(full=_INDEX_FILLED)
        """The row in the buffer of each case, or :data:`_AWAY` and its place in the store."""
        self._end = 0
        self._free: Indices = np.zeros(0, np.int64)
        self._dirty = np.zeros(1024, bool)
        self._keys = np.zeros(1024, np.uint64)
        """By row: its key, as in :attr:`cases`; there it lies a line of the cache from the next one.

        It stays when the case goes: 0 is a row that holds nothing of anybody."""
        self._place = np.full(1024, -1)
        """By row: where the case was written last; -1: nowhere."""
        self._dues: list[float] = []
        self._listed: dict[float, list[Keys]] = {}
        """When cases of the buffer are due that were not written since."""
        self._left: list[Indices] = []
        """Places in which cases lie no more as they are, until that is written."""

    @property
    def crowded(self) -> bool:
        """Whether what changed should be written soon."""
        return self._full or self._sheaves.unwritten_bytes >= UNWRITTEN_MAX

    def attach(self, store: CaseStore, place: Aside | None = None) -> None:
        """Read on from ``store``, which holds what :meth:`save` wrote; the buffer has nothing that it lacks.

        From when it grows the buffer lies in ``place``; in memory where there is none.
        """
        self._aside = place
        keys, places = self._sheaves.attach(store)
        for start in range(0, len(keys), CHUNK):  # many come again, for whom no further room is needed
            some = slice(start, start + CHUNK)
            self._index.insert_many(keys[some], np.where(places[some] < 0, -1, places[some] + _AWAY))
        still = (places >= 0) & (self._index.find(keys) == places + _AWAY)
        self._sheaves.count(places[still], 1)
        for due in self._sheaves.dues():
            self._expect(due)

    def dues(self, until: float) -> NDArray[np.float64]:
        """When cases are due, up to ``until``, in order."""
        return np.array(self._dues[: bisect_right(self._dues, until)])

    @property
    def next_due(self) -> float:
        """When the next cases are due; infinite where there are none."""
        return self._dues[0] if self._dues else np.inf

    def find(self, keys: Keys) -> Indices:
        """Rows in :attr:`cases` of ``keys``, read from the store where they are not at hand; -1: unknown."""
        rows = self._index.find(keys).astype(np.int64)
        away = np.flatnonzero(rows >= _AWAY)
        if len(away):
            away = away[np.argsort(rows[away])]
            places = rows[away] - _AWAY
            begins = np.ones(len(places), bool)  # several events may be of one case
            np.not_equal(places[1:], places[:-1], out=begins[1:])
            rows[away] = self._fetch(keys[away[begins]], places[begins])[np.cumsum(begins) - 1]
        return rows

    def meet(self, columns: dict[str, NDArray[Any]]) -> Joined:
        """Bring events to their cases by the compiled loop; ``columns`` as in ``kernels/join.py``, but for ``row``."""
        keys = columns["key"]
        rows = self.find(keys)
        spare = self._spare(min(int(np.count_nonzero(rows < 0)), max(self.room, 0)))
        joined = join({**columns, "row": rows}, self.cases, self._dirty, self._keys, self._index, spare, self.room)
        self._take_spare(spare[: joined.n_new])
        self.room = joined.room
        self._list(keys[joined.listed], columns["due"][joined.listed])
        self._relieve()
        return joined

    def add(self, cases: Cases) -> Indices:
        """Let in new cases, keys distinct and unknown; returns their rows."""
        rows = self._put(cases)
        self.list(rows)
        return rows

    def widen(self) -> None:
        """Make room for lists in the cases at hand."""
        if self.cases.dtype != WIDE:
            self._lay(as_dtype(self.cases[: self._end], WIDE), len(self.cases))

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
        keys = np.sort(np.concatenate([*self._listed.pop(due, []), self._sheaves.hold(due)]))
        keys = keys[np.flatnonzero(np.diff(keys, prepend=np.uint64(0)))]  # each once; 0 is what was removed
        self._dues.remove(due)
        step = CHUNK if self._sheaves.holds else _MANY * CHUNK
        for start in range(0, len(keys), step):
            yield self._copies(keys[start : start + step], due)
        if self._sheaves.finish(due):
            self._outlive()

    def close(self, keys: Keys, until: NDArray[np.float64]) -> None:
        """Remember of cases (n,), which have matured, no more than that they have, until ``until``, which is later."""
        self._let_go(keys)
        places = self._sheaves.close(keys, until)
        self._sheaves.count(places, 1)
        self._index.insert_many(keys, places + _AWAY)
        for due in np.unique(until).tolist():
            self._expect(due)

    def forget(self, keys: Keys) -> None:
        """Let go of cases that were handed over, for good; what still lies in the store of them goes with them."""
        self._let_go(keys)
        self._index.forget(keys)

    def erase(self, keys: Keys) -> None:
        """Remove cases from everywhere: no copy of them stays in a sheaf either, nor in the buffer's file."""
        rows = self.find(keys)
        rows = rows[rows >= 0]
        self._left.append(self._place[rows[self._place[rows] >= 0]])
        self._index.forget(self.cases["key"][rows])
        self._release(rows)
        self._wipe()
        self._sheaves.blot(keys)

    def keys_of_entity(self, entity: np.uint64) -> Keys:
        """The keys of all waiting cases of an ``entity`` (hash): every case is looked at, in memory and on disk."""
        held = self.cases[self._used()]
        found = held["key"][(held["entity"] == entity) & (held["stage"] == OPEN)]
        return np.unique(np.concatenate([found, self._sheaves.keys_of_entity(entity)]))

    def save(self, writes: CaseWrites) -> None:
        """Give all that changed to ``writes``; of a buffer that lies aside no memory is held from then on."""
        self._fold()
        self._sheaves.save(writes)
        if self._pages is not None:
            self._pages.let_go()

    @property
    def _full(self) -> bool:
        return self._end - len(self._free) >= self.buffered_max

    def _relieve(self) -> None:
        """Let go of a buffer that is full, where there is a store for it by and by."""
        if self._full and self._sheaves.stored:
            self._fold()

    def _fold(self) -> None:
        """Lay all that changed into sheaves, and let go of the buffer when that has grown."""
        if self._sheaves.stored:
            self._draw_together()
        rows = np.flatnonzero(self._dirty[: self._end])
        self._leave(rows)
        left = np.concatenate([np.zeros(0, np.int64), *self._left])
        places = self._sheaves.add(self.cases, self._keys, rows)
        self._sheaves.count(places, 1)
        self._sheaves.count(left, -1)
        self._sheaves.tidy(left)
        self._place[rows] = places
        self._dirty[: self._end] = False
        self._left, self._listed = [], {}
        if self._sheaves.stored and self._end - len(self._free) > self.buffered_max // 2:
            self._empty()

    def _draw_together(self) -> None:
        """Have what lies in thin sheaves written anew: outcomes in an order of their own leave one for each case."""
        keys, places = self._sheaves.scattered()
        rows = self._index.find(keys).astype(np.int64)
        away = rows == places + _AWAY
        rows[away] = self._fetch(keys[away], places[away])
        lie = (rows >= 0) & (rows < _AWAY)
        lie[lie] = self._place[rows[lie]] == places[lie]
        self._dirty[rows[lie]] = True

    def _leave(self, rows: Indices) -> None:
        """Note that how ``rows`` were written last is not how they are."""
        rows = rows[self._place[rows] >= 0]
        if not len(rows):
            return
        due = self._sheaves.due(self._place[rows])
        self._left.append(self._place[rows])
        moved = due != self.cases["due"][rows]
        self._sheaves.move(self.cases["key"][rows[moved]], due[moved])

    def _copies(self, keys: Keys, due: float) -> Cases:
        """Those of ``keys`` (distinct) that are due then, in their order, with room for lists if any has one."""
        rows = self._index.find(keys).astype(np.int64)
        here, away = np.flatnonzero((rows >= 0) & (rows < _AWAY)), np.flatnonzero(rows >= _AWAY)
        here = here[self.cases["due"][rows[here]] == due]
        away = away[self._sheaves.due(rows[away] - _AWAY) == due]
        chosen = np.zeros(len(keys), bool)
        chosen[here] = chosen[away] = True
        at, cases = np.cumsum(chosen) - 1, np.empty(len(here) + len(away), self.cases.dtype)
        copy(self.cases, rows[here], cases, at[here])
        if len(away) and not self._sheaves.read(keys[away], rows[away] - _AWAY, cases, at[away]):
            cases = as_dtype(cases, WIDE)
            self._sheaves.read(keys[away], rows[away] - _AWAY, cases, at[away])
        return cases

    def _outlive(self) -> None:
        """Note that what lay in sheaves that are gone lies nowhere: their slots are had again."""
        self._left = [some for left in self._left if len(some := left[~self._sheaves.gone(left)])]
        lie = np.flatnonzero(self._place[: self._end] >= 0)
        self._place[lie[self._sheaves.gone(self._place[lie])]] = -1

    def _let_go(self, keys: Keys) -> None:
        """Free the rows of cases that are over."""
        rows = self._index.find(keys).astype(np.int64)
        here = rows[(rows >= 0) & (rows < _AWAY)]
        self._leave(here)
        self._release(here)

    def _list(self, keys: Keys, due: NDArray[np.float64]) -> None:
        for moment in np.unique(due).tolist():
            self._expect(moment)
            self._listed.setdefault(moment, []).append(keys[due == moment])

    def _fetch(self, keys: Keys, places: Indices) -> Indices:
        """Read cases, none twice, from the store into the buffer; returns their rows."""
        rows = self._rows_for(keys)
        if not self._sheaves.read(keys, places, self.cases, rows):
            self.widen()
            self._sheaves.read(keys, places, self.cases, rows)
        self._place[rows], self._dirty[rows] = places, False
        return rows

    def _expect(self, due: float) -> None:
        at = bisect_right(self._dues, due)
        if not at or self._dues[at - 1] != due:
            insort(self._dues, due)

    def _put(self, cases: Cases) -> Indices:
        """Rows for ``cases`` in the buffer, which are to be written."""
        if cases.dtype == WIDE:
            self.widen()
        rows = self._rows_for(cases["key"])
        copy(as_dtype(cases, self.cases.dtype), np.arange(len(rows)), self.cases, rows)
        self._dirty[rows] = True
        return rows

    def _rows_for(self, keys: Keys) -> Indices:
        """Free rows, which the index says of ``keys`` from here on."""
        rows = self._spare(len(keys))
        self._take_spare(rows)
        self._index.insert_many(keys, rows)
        self._keys[rows] = keys
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
        self._place[rows] = -1

    def _grow(self, end: int) -> None:
        """Make room for rows up to ``end``, and for half as many as there was; it takes no memory until it is used."""
        room = max(end, len(self.cases) + len(self.cases) // 2)
        self._lay(self.cases[: self._end], room)
        for name in ("_dirty", "_keys", "_place"):
            held = getattr(self, name)
            wider = np.zeros(room, held.dtype)
            wider[: len(held)] = held
            setattr(self, name, wider)

    def _lay(self, held: Cases, room: int) -> None:
        """Let the buffer begin with what is ``held``, with ``room`` for so many cases."""
        size = room * held.itemsize
        self._pages = self._aside.take(size) if self._aside is not None and size >= MAPPED else None
        made = np.zeros(room, held.dtype) if self._pages is None else np.frombuffer(self._pages.room, held.dtype, room)
        copy(held, np.arange(len(held)), made, np.arange(len(held)))
        self.cases = made

    def _release(self, rows: Indices) -> None:
        """Have ``rows`` back, of which the index no longer says anything."""
        self._dirty[rows] = False
        self._free = np.concatenate([self._free, rows])

    def _wipe(self) -> None:
        """Overwrite what free rows still hold: of who is to go there may be older copies, and cases that matured."""
        stale = self._keys != 0
        stale[self._used()] = False
        self.cases[stale] = blank(1, self.cases.dtype)
        self._keys[stale] = 0

    def _used(self) -> Indices:
        """The rows of the buffer that hold a case."""
        used = np.ones(self._end, bool)
        used[self._free] = False
        return np.flatnonzero(used)

    def _empty(self) -> None:
        """Let go of the cases in the buffer, all of which lie in sheaves; its memory is for the next ones."""
        rows = self._used()
        self._index.insert_many(self._keys[rows], self._place[rows] + _AWAY)
        if self.cases.dtype != CASE:
            self._lay(blank(0), len(self.cases))
        self._end, self._free = 0, self._free[:0]


def matured(cases: Cases) -> NDArray[np.bool_]:
    """Which of the cases that are due have a prediction, so that they count."""
    complete: NDArray[np.bool_] = (cases["stage"] == OPEN) & ((cases["has"] & HAS_PREDICTION) > 0)
    return complete
