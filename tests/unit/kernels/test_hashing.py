"""Do the hash and the mixing spread keys, and are they the same in C?"""

from __future__ import annotations

import ctypes
import random

import numpy as np
import pytest

from monitor.kernels import hash64, mix, table
from monitor.kernels.library import library


def test_same_in_c() -> None:
    """The compiled hash gives the keys of the one in Python, at every length and seed."""
    loaded = library()
    if loaded is None:
        pytest.skip("the kernels are not built: python -m monitor.kernels.build")
    compiled = loaded.modelwatch_hash64
    compiled.argtypes, compiled.restype = (ctypes.c_char_p, ctypes.c_int64, ctypes.c_uint64), ctypes.c_uint64
    rng = random.Random(1)
    for length in (*range(70), 1000):
        data, seed = rng.randbytes(length), rng.getrandbits(64)
        assert compiled(data, length, seed) == hash64(data, seed)
        assert compiled(data, length, 0) == hash64(data)


def test_every_bit_matters() -> None:
    """Flipping one bit of a string or of the seed flips about half of the key's bits, each of them."""
    rng = random.Random(2)
    flips = np.zeros(64)
    trials = 2000
    for _ in range(trials):
        data = bytearray(rng.randbytes(rng.randrange(1, 30)))
        before = hash64(bytes(data), 5)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        changed = before ^ hash64(bytes(data), 5)
        flips += [changed >> bit & 1 for bit in range(64)]
    assert (abs(flips / trials - 0.5) < 5 * 0.5 / trials**0.5).all()


def test_near_names_do_not_meet() -> None:
    """Names that differ in a digit, in their length or by a zero byte have different keys, also in their low bits."""
    names = (
        {b"feature_%d" % i for i in range(20_000)} | {b"\0" * i for i in range(40)} | {b"a", b"a\0", b"", b"12345678"}
    )
    keys = [hash64(name) for name in names]
    assert len(set(keys)) == len(names)
    counts = np.bincount(np.array(keys, np.uint64).astype(np.int64) & 1023, minlength=1024)
    assert counts.max() < 20_000 / 1024 + 6 * (20_000 / 1024) ** 0.5


def test_mix() -> None:
    """Pairs of keys become keys: different for each pair, and not the same the other way round."""
    small = np.arange(200, dtype=np.uint64)
    keys = mix(np.repeat(small, 200), np.tile(small, 200))
    assert keys.dtype == np.uint64
    assert len(np.unique(keys)) == 200 * 200
    assert len(np.unique(keys & np.uint64(0xFFFFFFFF))) > 200 * 200 - 5
    assert (mix(small, small[::-1])[:100] != mix(small[::-1], small)[:100]).all()
    assert mix(small, np.uint64(7)).shape == (200,)


def test_no_two_rows_share_a_key() -> None:
    """The same few texts under thousands of rows, and under models and parts side by side, have keys of their own.

    A key in common would count one series' category as another's.
    """
    texts = [f"{word}{i}" for word in ("SE", "phone", "basic", "family", "wallet", "service") for i in range(8)]
    hashes = np.array([hash64(text.encode()) for text in texts], np.uint64)
    rows = np.arange(20_000, dtype=np.uint64)
    assert len(np.unique(table.mix(rows[:, None], hashes))) == len(rows) * len(hashes)
    models = hashes[:, None, None] + np.arange(3, dtype=np.uint64)[:, None]
    assert len(np.unique(table.mix(models, hashes))) == models.size * len(hashes)
