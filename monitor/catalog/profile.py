"""A reference as a file: what a training set looked like, immutable and known by its digest."""

from __future__ import annotations

import hashlib
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.catalog.series import BUFFER, CUTS, UNJUDGED, choose_edges
from monitor.errors import ProfileError, UsageError
from monitor.kernels.tally import BINS, COLUMNS, EDGES, EVENTS, INVALID, NULLS, OTHER_BIN, PRESENT

MAGIC = b"MWREF1"
_SIZE_MAX = 256 << 20
_PROFILES_CACHED = 8


class SeriesProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One series of a reference, of whatever space; ``counts`` has the 40 columns of ``kernels/tally.py``."""

    name: str
    space: Literal["feature", "prediction", "metric", "segment"]
    kind: Literal["number", "category"]
    counts: list[int]
    edges: list[float] = []
    low: float = 0.0
    high: float = 0.0
    categories: list[str] = []
    first_values: list[float] = []
    """Some numbers in the order they stood, from which clocks and counters are known."""
    unjudged: str = ""
    """Why its distribution is not judged, where that was known when the reference was made: one of ``UNJUDGED``."""
    cuts: list[int] = []
    """The bins at which it is judged, where that was fixed before the reference was complete; else they are chosen."""
    bounds: tuple[float, float] | None = None
    """The range that it is judged by, where that was fixed before; else it follows from ``low`` and ``high``."""


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model was trained on: ``events`` rows, each series counted."""

    model: str
    version: str
    events: int
    source: str
    series: list[SeriesProfile]


def save(profile: Profile, path: Path) -> str:
    """Write ``profile``; returns its digest. The file appears whole or not at all."""
    digest, content = packed(profile)
    write(content, path)
    return digest


def save_new(profile: Profile, path: Path, *, replaced: bool = False) -> str:
    """As :func:`save`, where ``path`` holds no other reference or that may be ``replaced``.

    Raises
    ------
    UsageError
        Something else stands there.
    """
    digest, content = packed(profile)
    try:
        other = not replaced and path.exists() and path.read_bytes() != content
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror}") from error
    if other:
        raise UsageError(f"{path}: is there already and is not the same; references never change: --replace says so")
    write(content, path)
    return digest


def packed(profile: Profile) -> tuple[str, bytes]:
    """The digest of ``profile`` and what its file holds: the same for the same reference, wherever it is made."""
    payload = zlib.compress(msgspec.json.encode(profile), 6)
    digest = hashlib.sha256(payload).hexdigest()
    return digest, MAGIC + b" " + digest.encode() + b"\n" + payload


def write(content: bytes, path: Path) -> None:
    """Write what :func:`packed` made to ``path``, which appears whole or not at all."""
    scratch = path.with_name(path.name + ".partial")
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    except OSError as error:
        raise ProfileError(f"{path}: cannot be written: {error.strerror}") from error


def load(path: Path) -> tuple[Profile, str]:
    """Read a reference; returns it with its digest.

    Raises
    ------
    ProfileError
        The file is not there, not a reference, or not what was written.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return unpacked(raw)
    except ProfileError as error:
        raise ProfileError(f"{path}: {error}") from error


def unpacked(content: bytes) -> tuple[Profile, str]:
    """The reference that :func:`packed` made ``content`` of, and its digest; raises as :func:`load`."""
    head, _, payload = content.partition(b"\n")
    magic, _, digest = head.partition(b" ")
    if magic != MAGIC:
        raise ProfileError(f"is not a reference of this program (no {MAGIC.decode()} at its start)")
    if hashlib.sha256(payload).hexdigest().encode() != digest:
        raise ProfileError("was changed or cut off since it was written (its digest does not fit)")
    try:
        return _decoded(payload), digest.decode()
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ProfileError(str(error)) from error


@lru_cache(_PROFILES_CACHED)
def _decoded(payload: bytes) -> Profile:
    """What stands behind a file's first line; the models of a fleet may have one file in common."""
    profile = msgspec.json.decode(zlib.decompressobj().decompress(payload, _SIZE_MAX), type=Profile)
    _check(profile)
    return profile


def number_series(
    name: str, space: Literal["feature", "prediction", "metric", "segment"], values: NDArray[np.float64], events: int
) -> SeriesProfile:
    """A number's part of a reference, from all its ``values`` in order (NaN and infinities are invalid ones)."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        raise ProfileError(f"{name}: has no number")
    edges = choose_edges(finite)
    counts = np.zeros(COLUMNS, np.int64)
    counts[:BINS] = np.bincount(np.searchsorted(edges, finite, side="left"), minlength=BINS)
    counts[INVALID] = len(values) - len(finite)
    counts[PRESENT], counts[EVENTS] = len(values), events
    first = finite[:BUFFER].tolist()
    low, high = float(finite.min()), float(finite.max())
    return SeriesProfile(name, space, "number", counts.tolist(), edges.tolist(), low, high, [], first)


def category_series(
    name: str,
    space: Literal["feature", "prediction", "metric", "segment"],
    values: dict[str, int],
    nulls: int,
    events: int,
    categories_max: int = OTHER_BIN,
) -> SeriesProfile:
    """A category's part of a reference, from how often each value occurred; the commonest are told apart."""
    ranked = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    kept, rest = ranked[: min(categories_max, OTHER_BIN)], ranked[min(categories_max, OTHER_BIN) :]
    counts = np.zeros(COLUMNS, np.int64)
    counts[: len(kept)] = [n for _, n in kept]
    counts[OTHER_BIN] = sum(n for _, n in rest)
    counts[NULLS] = nulls
    counts[PRESENT], counts[EVENTS] = sum(values.values()) + nulls, events
    return SeriesProfile(name, space, "category", counts.tolist(), categories=[value for value, _ in kept])


def _check(profile: Profile) -> None:
    for part in profile.series:
        edges = np.array(part.edges)
        right = len(part.counts) == COLUMNS and min(part.counts) >= 0 and max(part.counts) < 1 << 32
        right &= len(part.categories) <= OTHER_BIN and part.unjudged in UNJUDGED
        right &= len(part.cuts) <= CUTS and all(0 <= cut < BINS for cut in part.cuts)
        if part.kind == "number":
            right &= 0 < len(edges) <= EDGES and bool(np.all(np.isfinite(edges)) and np.all(np.diff(edges) > 0))
        if not right:
            raise ProfileError(f"series {part.name!r} is not what this program writes")
