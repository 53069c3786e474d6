"""What messages say, in columns: each is asked once for everything. Compiled in ``messages.c``; here in Python."""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from monitor.events.records import CONSTANTS, Records
from monitor.kernels.library import LIBRARY, library

_P, _N, _O = ctypes.c_void_p, ctypes.c_int64, ctypes.py_object
_OF_PYTHON = (
    "PyList_GetItem",
    "PyList_SetItem",
    "PyTuple_GetItem",
    "PyObject_Vectorcall",
    "PyLong_AsLongLong",
    "PyBytes_AsString",
    "PyBytes_Size",
    "PyErr_Occurred",
    "Py_DecRef",
)
_DONE, _FULL = 0, 1
_TEXT = rb'"(?:[^"]*[^"\\])?"'
_SAYS_TIME = re.compile(rb'\{(?:%b: ?%b, ?){0,5}"time": ?["0-9-]' % (_TEXT, _TEXT))
"""How an event begins that says its own time, behind a few texts at most."""
_begin_of = ctypes.PYFUNCTYPE(_P, _O)(("PyByteArray_AsString", ctypes.pythonapi))
_resize = ctypes.PYFUNCTYPE(ctypes.c_int, _O, ctypes.c_ssize_t)(("PyByteArray_Resize", ctypes.pythonapi))


class Questions(NamedTuple):
    """What a message is asked: each is called with a message, and is a method of its type.

    ``value`` and ``key`` are bytes or ``None``; ``timestamp`` is a kind and milliseconds since the epoch; where
    ``error`` is not ``None`` the message is no record.
    """

    error: Callable[[Any], Any]
    value: Callable[[Any], Any]
    key: Callable[[Any], Any]
    offset: Callable[[Any], Any]
    partition: Callable[[Any], Any]
    timestamp: Callable[[Any], Any]


class _AskCall(ctypes.Structure):
    """``ask_call`` of ``messages.c``."""

    _fields_ = (
        *((name, _P) for name in _OF_PYTHON),
        ("none", _O),
        *((name, _O) for name in Questions._fields),
        ("messages", _O),
        *((name, _N) for name in ("n", "next")),
        ("body", _P),
        *((name, _N) for name in ("room", "used", "rows")),
        ("keys", _O),
        *((name, _P) for name in ("lengths", "offsets", "partitions", "seconds")),
        *((name, _N) for name in ("untimed", "native")),
        ("notes", _P),
        ("n_notes", _N),
    )


@cache
def compiled() -> ctypes.PyDLL | None:
    """The compiled kernel of ``messages.c``, called with the interpreter's lock; ``None`` where the twin must do."""
    if library() is None:
        return None
    loaded = ctypes.PyDLL(str(LIBRARY))
    loaded.mw_ask_call_size.argtypes, loaded.mw_ask_call_size.restype = (), _N
    loaded.mw_ask.argtypes, loaded.mw_ask.restype = (ctypes.POINTER(_AskCall),), _N
    return loaded if loaded.mw_ask_call_size() == ctypes.sizeof(_AskCall) else None


class Told:
    """The columns of up to ``rows`` records, in the order in which messages were taken.

    Of the first ``len(self)`` rows are set: ``offsets`` (int64), ``partitions`` (int32), their numbers; ``seconds``
    (float64), the records' own times since the epoch, NaN where there is none, or where a ``native`` event was seen to
    say its time itself: then nobody looks at its record's. ``keys`` are as many, bytes or ``None``. ``untimed`` is the
    kind of a timestamp that is none; ``size`` the bytes of values that are expected.
    """

    def __init__(self, questions: Questions, untimed: int, rows: int, size: int = 0) -> None:
        self.offsets = np.empty(rows, np.int64)
        self.partitions = np.empty(rows, np.int32)
        self.seconds = np.empty(rows, np.float64)
        self.keys: list[bytes | None] = []
        self._lengths = np.empty(rows, np.int64)
        self._body = bytearray()
        self._questions, self._untimed = questions, untimed
        self._rows = self._used = 0
        self._expected = size + size // 8 + len(CONSTANTS)

    def __len__(self) -> int:
        return self._rows

    @property
    def size(self) -> int:
        """The bytes of all values."""
        return self._used

    def take(self, messages: list[Any], *, native: bool = False) -> list[int]:
        """Ask ``messages``, for which there are rows, and put them behind the others; which of them are no records.

        ``native`` says that all records are of the native format.
        """
        if self._rows + len(messages) > len(self.offsets):
            raise ValueError(f"{self._rows} and {len(messages)} messages for {len(self.offsets)} rows")
        kernel = compiled()
        return self._take_twin(messages, native) if kernel is None else self._take(kernel, messages, native)

    def records(self) -> Records:
        """The values; nothing can be taken any more."""
        if compiled() is not None:
            self._resize(self._used)
        self._body += CONSTANTS
        return Records(self._body, self._lengths[: self._rows])

    def _take(self, kernel: ctypes.PyDLL, messages: list[Any], native: bool) -> list[int]:
        notes = np.empty(len(messages), np.int64)
        self.keys += [None] * len(messages)
        columns = (self._lengths, self.offsets, self.partitions, self.seconds)
        call = _AskCall(
            *_functions(),
            *(None, *self._questions, messages, len(messages), 0, *self._room(), self._used, self._rows, self.keys),
            *(column.ctypes.data for column in columns),
            *(self._untimed, native, notes.ctypes.data, 0),
        )
        while (status := kernel.mw_ask(ctypes.byref(call))) == _FULL:
            needed = call.used + len(self._questions.value(messages[call.next]))
            self._resize(max(2 * len(self._body), self._expected, needed))
            call.body, call.room = self._room()
        assert status == _DONE, "an error of Python's was raised"
        self._rows, self._used = call.rows, call.used
        del self.keys[self._rows :]
        return [int(note) for note in notes[: call.n_notes]]

    def _room(self) -> tuple[int, int]:
        """Where the body lies, and how large it is."""
        return _begin_of(self._body), len(self._body)

    def _resize(self, size: int) -> None:
        """What is new of the body is not set to anything."""
        _resize(self._body, size)

    def _take_twin(self, messages: Sequence[Any], native: bool) -> list[int]:
        """What :meth:`take` does, in Python."""
        ask, notes = self._questions, []
        for i, message in enumerate(messages):
            if ask.error(message) is not None:
                notes.append(i)
                continue
            value = ask.value(message)
            self._lengths[self._rows] = -1 if value is None else len(value)
            self._body += value or b""
            self.offsets[self._rows], self.partitions[self._rows] = ask.offset(message), ask.partition(message)
            own = native and _SAYS_TIME.match(value or b"") is not None
            self.seconds[self._rows] = math.nan if own else self._time(message)
            self.keys.append(ask.key(message))
            self._rows += 1
        self._used = len(self._body)
        return notes

    def _time(self, message: Any) -> float:
        kind, milliseconds = self._questions.timestamp(message)
        untimed = milliseconds < 0 or (milliseconds == 0 and kind == self._untimed)
        return math.nan if untimed else milliseconds / 1e3


@cache
def _functions() -> tuple[int | None, ...]:
    """Where what is called of Python begins."""
    return tuple(ctypes.cast(getattr(ctypes.pythonapi, name), _P).value for name in _OF_PYTHON)
