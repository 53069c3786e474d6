"""Every question that is asked of a series, one file each. To add one: CONTRIBUTING.md."""

from __future__ import annotations

from monitor.detectors.cell import Detector
from monitor.detectors.drift import Drift
from monitor.detectors.invalid import Invalid
from monitor.detectors.missing import Missing
from monitor.detectors.mix import Mix
from monitor.detectors.out_of_range import OutOfRange
from monitor.detectors.schema import Schema
from monitor.detectors.unseen import Unseen

DETECTORS: tuple[Detector, ...] = (
    Drift(),
    Mix(),
    Missing(),
    Invalid(),
    OutOfRange(),
    Unseen(),
    Schema(),
)
"""The table. A detector's place in it is only an order; its ``name`` is what is stored."""
SHARED_TABLES: tuple[tuple[str, ...], ...] = (
    ("drift", "mix"),
    ("missing",),
    ("invalid", "unseen"),
    ("out_of_range",),
    ("schema",),
)
"""Detectors whose cells are kept in one table: of no series may two of them apply, and they bet alike."""
