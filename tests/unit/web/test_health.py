"""Probes."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.desk import NOW, FakeDesk


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/-/healthy"])
def test_live_while_the_loop_turns(get: Any, desk: FakeDesk, path: str) -> None:
    """Liveness fails when the loop has not turned for longer than the timeout, whatever else is wrong."""
    desk.change(ready=False, loop_turned_at=NOW - 60)
    assert (get(path).status, get(path).body) == (200, b"ok\n")
    desk.change(loop_turned_at=NOW - 60.01)
    assert (get(path).status, get(path).body) == (503, b"failing\n")


@pytest.mark.parametrize("path", ["/readyz", "/-/ready"])
def test_ready_as_the_loop_says(get: Any, desk: FakeDesk, path: str) -> None:
    """Readiness is what the status says; a degraded check does not take it away."""
    assert get(path).status == 200
    desk.change(ready=False)
    assert get(path).status == 503


def test_verbose_lists_checks_without_details(get: Any) -> None:
    """Anyone may probe, so checks show by name and state alone."""
    assert get("/livez?verbose").body == b"[+]loop ok\nok\n"
    assert get("/readyz?verbose").body == b"[+]ready ok\n[!]alertmanager degraded\n[+]kafka ok\nok\n"
