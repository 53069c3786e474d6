"""Which 64-bit keys were surely never entered, in a byte or so a key. Compiled in ``sieve.c``; here is what it does."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, library

Keys = NDArray[np.uint64]

KEY_BITS = 8
"""Bits a key once there are as many as a sieve is for: one in some forty others passes then, fewer before."""
_WORDS, _PROBES, _PLACE_BITS = 8, 6, 9
"""A key's bits lie in one block of words, a line of the cache: so many, each at a place of so many bits."""
_BLOCK_BITS = 1 << _PLACE_BITS
_LOW, _HALF = np.uint64(63), np.uint64(32)


@cache
def _compiled() -> ctypes.CDLL | None:
    loaded = library()
    if loaded is not None:
        long, size, at = ctypes.c_int64, ctypes.c_uint64, ctypes.c_void_p
        loaded.mw_sieve_enter.argtypes = (long, at, at, size)
        loaded.mw_sieve_may_hold.argtypes = (long, at, at, size, at)
        loaded.mw_sieve_enter.restype = loaded.mw_sieve_may_hold.restype = None
    return loaded


class Sieve:
    """A Bloom filter by blocks: of a key that was entered it never says that it was not."""

    def __init__(self, expected: int = 0) -> None:
        """It has room for ``expected`` keys; with more of them it says less, and errs as little."""
        self.words = np.zeros((max(-(-expected * KEY_BITS // _BLOCK_BITS), 1), _WORDS), np.uint64)
        self.room = expected
        """How many more keys it is for; less than 0 where there were more."""

    def enter(self, keys: Keys) -> None:
        """Let ``keys`` in, shape ``(n,)``; each of them takes room, if it was there before too."""
        self.room -= len(keys)
        kernels = _compiled()
        if kernels is None:
            self.enter_twin(keys)
        elif len(keys):
            keys = np.ascontiguousarray(keys)
            kernels.mw_sieve_enter(len(keys), address(keys), address(self.words), len(self.words))

    def may_hold(self, keys: Keys) -> NDArray[np.bool_]:
        """Whether each of ``keys`` may have been entered, shape ``(n,)``."""
        kernels = _compiled()
        if kernels is None:
            return self.may_hold_twin(keys)
        keys, out = np.ascontiguousarray(keys), np.empty(len(keys), np.bool_)
        if len(keys):
            kernels.mw_sieve_may_hold(len(keys), address(keys), address(self.words), len(self.words), address(out))
        return out

    def enter_twin(self, keys: Keys) -> None:
        """What :meth:`enter` does with the bits, in numpy."""
        block, places = self._places(keys)
        for place in places:
            word, bit = (place >> np.uint64(6)).astype(np.int64), place & _LOW
            np.bitwise_or.at(self.words, (block, word), np.uint64(1) << bit)

    def may_hold_twin(self, keys: Keys) -> NDArray[np.bool_]:
        """What :meth:`may_hold` does, in numpy."""
        block, places = self._places(keys)
        held = np.ones(len(keys), np.bool_)
        for place in places:
            word, bit = (place >> np.uint64(6)).astype(np.int64), place & _LOW
            held &= (self.words[block, word] >> bit & np.uint64(1)) > 0
        return held

    def _places(self, keys: Keys) -> tuple[NDArray[np.int64], list[Keys]]:
        """The block of each key, and its places in it, one array for each probe."""
        with np.errstate(over="ignore"):
            h = keys * np.uint64(0x9E3779B97F4A7C15)
            h = (h ^ h >> _HALF) * np.uint64(0xD6E8FEB86659FD93)
            bits = (h ^ h >> np.uint64(29)) * np.uint64(0xFF51AFD7ED558CCD)
            block = ((h >> _HALF) * np.uint64(len(self.words)) >> _HALF).astype(np.int64)
        ends = range(64 - _PLACE_BITS, 0, -_PLACE_BITS)
        return block, [bits >> np.uint64(end) & np.uint64(_BLOCK_BITS - 1) for end in ends[:_PROBES]]
