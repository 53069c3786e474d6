"""How big, deep and rich a record may be."""

from __future__ import annotations

from dataclasses import dataclass

MODEL_CHARACTERS = 200
TIME_MIN = -2208988800.0
"""1900-01-01T00:00:00Z, the first time that an event may have."""
TIME_END = 7258118400.0
"""2200-01-01T00:00:00Z, the first time that it may not."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What a record beyond is rejected for; ``ValueError`` outside the ranges.

    ``record_bytes`` in [1, 2**28]; ``values_per_event`` (entries) in [1, 2**20]; ``depth`` (objects and lists in one
    another, the event itself counted) in [4, 64]; ``name_bytes`` (UTF-8 bytes of a name or text) in [1, 2**20].
    """

    record_bytes: int = 1 << 20
    values_per_event: int = 2048
    depth: int = 32
    name_bytes: int = 1024

    def __post_init__(self) -> None:
        self._check("record_bytes", 1, 1 << 28)
        self._check("values_per_event", 1, 1 << 20)
        self._check("depth", 4, 64)
        self._check("name_bytes", 1, 1 << 20)

    def _check(self, name: str, low: int, high: int) -> None:
        if not low <= getattr(self, name) <= high:
            raise ValueError(f"{name} must be in [{low}, {high}]")
