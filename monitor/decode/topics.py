"""What a topic's configuration says of how its records are to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

TIME_UNITS: Final = MappingProxyType({"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9})
"""Seconds in each unit that times may be numbers of."""


@dataclass(frozen=True, slots=True)
class TopicFormat:
    """How the records of a topic are read: see ``[kafka] topics`` in ``docs/configuration.md``.

    ``model`` is a model's name, or the place of it (a JSON pointer, ``header:NAME``, ``key``); empty: where the format
    has it. ``feature_names`` and ``class_names`` name what comes as a list without names. ``mapping`` and ``time_unit``
    are for ``mapped`` alone.
    """

    name: str = "native"
    model: str = ""
    feature_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    mapping: Mapping[str, str] = field(default_factory=dict, hash=False)
    time_unit: str = "s"
