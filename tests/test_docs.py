"""The documentation speaks of what is there, and its figures are what the program computes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from monitor.detectors import DETECTORS
from monitor.detectors.cell import Detector
from monitor.events.columns import Space
from monitor.stats.bounds import null_edge

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "detectors").glob("*.md")}
DETECTOR = {detector.name: detector for detector in DETECTORS}
SECTIONS = ("Question", "Formula", "Null and tolerance", "Effect", "What it cannot see", "When it fires")
TOLERANCE = 0.02
NATS = 20.0


def test_every_detector_has_its_page() -> None:
    """Each detector of the table has a page, and no page is of a detector that is not there."""
    assert PAGES.keys() == DETECTOR.keys()


@pytest.mark.parametrize("name", sorted(DETECTOR))
def test_a_page_answers_the_same_questions(name: str) -> None:
    """A page says which alert, what is asked and how, what is let pass, what cannot be seen, and what to do."""
    page, detector = PAGES[name], DETECTOR[name]
    assert page.startswith(f"# {name}\n")
    assert tuple(re.findall(r"^## (.*)$", page, flags=re.MULTILINE)) == SECTIONS
    assert all(f"`{detector.alertname(space)}`" in page for space in (Space.FEATURE, Space.PREDICTION))
    assert f"share\n`{detector.share}`" in page or f"share `{detector.share}`" in page
    assert f"`tolerance.{detector.tolerance}`" in page
    assert f"\n`{detector.effect}`: " in page


@pytest.mark.parametrize("name", sorted(DETECTOR))
def test_links_of_a_page_lead_somewhere(name: str) -> None:
    """A link goes to a file that is there, and to a heading that is in it."""
    for target, heading in re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", PAGES[name]):
        text = (DOCS / "detectors" / target).read_text(encoding="utf-8")
        headings = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)}
        assert not heading or heading in headings


def rows(page: str, head: str) -> list[list[str]]:
    """The cells of the table whose first line contains ``head``."""
    tables = re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE)
    (table,) = (table for table in tables if head in table.split("\n")[0])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def rate(text: str) -> float:
    return float(text.removesuffix(" %")) / 100.0


def events(detector: Detector, before: float, now: float) -> int:
    """Events after which the best bet on ``now`` has won ``NATS``, against a reference of 10,000."""
    edge = float(null_edge(round(10_000 * before), 10_000, TOLERANCE)[1])
    shifts = np.array(detector.shifts)
    return round(NATS / float((now * shifts - np.log1p(edge * np.expm1(shifts))).max()))


@pytest.mark.parametrize(("name", "head"), [("drift", "reference of 1,000"), ("missing", "edge, reference")])
def test_edges_are_those_of_the_null(name: str, head: str) -> None:
    """The edges of the null in the pages are what the bounds give for such references."""
    for share, *cells in rows(PAGES[name], head)[2:]:
        for n, cell in zip((1000, 10_000), cells, strict=True):
            low, high = (f"{100 * float(edge):.1f} %" for edge in null_edge(round(n * rate(share)), n, TOLERANCE))
            assert cell == (f"{low} to {high}" if DETECTOR[name].two_sided else high)


def test_detection_times_are_those_of_the_bets() -> None:
    """The numbers of events in the pages are what the bets of the detectors need."""
    shares, counts = (table[1:] for table in (rows(PAGES["drift"], "share now")[i] for i in (0, 2)))
    assert [events(DETECTOR["drift"], 0.5, rate(share)) for share in shares] == [int(count) for count in counts]
    head, _, *lines = rows(PAGES["missing"], "before, of 10,000")
    for before, *counts in lines:
        wanted = [events(DETECTOR["missing"], rate(before), rate(now)) for now in head[1:]]
        assert [int(count) for count in counts] == wanted
    bets = {DETECTOR[name].shifts for name in ("missing", "invalid", "out_of_range", "unseen", "schema")}
    assert len(bets) == 1
