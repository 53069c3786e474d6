"""The operator's manual has an answer to every alert."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitor.notify.payload import DIGEST, SUPPRESSED, TEST, WATCHDOG
from monitor.telemetry.metrics import ALERTNAMES

MANUAL = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", MANUAL, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("alertname", [*ALERTNAMES, DIGEST, SUPPRESSED, TEST, WATCHDOG])
def test_every_alert_has_its_runbook(alertname: str) -> None:
    """Each alertname has a section that says what it means, where to look first, why it happens and what to do."""
    for part in ("**Means.**", "**First look.**", "**Causes.**", "**Do.**"):
        assert part in SECTIONS[alertname]


def test_no_runbook_without_its_alert() -> None:
    """A section that looks like an alert's belongs to one that exists."""
    told = {name for name in SECTIONS if re.fullmatch(r"(Model|Fleet)[A-Za-z]+", name)}
    assert told == {*ALERTNAMES, DIGEST, SUPPRESSED, TEST, WATCHDOG}


def test_metrics_in_the_manual_exist() -> None:
    """Every metric that the manual names stands in the catalogue of metrics."""
    catalogue = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmodelwatch_[a-z_]+", MANUAL))
    assert named
    assert {name for name in named if f"`{name}`" not in catalogue} == set()


def test_links_within_the_manual_lead_somewhere() -> None:
    """Every link to a section has its heading."""
    headings = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", MANUAL, flags=re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", MANUAL)) <= headings
