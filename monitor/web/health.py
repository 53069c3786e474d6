"""Is the daemon alive, and is it ready? The answers to probes, which need no token and tell no details."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.clock import Clock
from monitor.status import Desk, Status
from monitor.web.messages import TEXT, Request, Response

MARKS = {"ok": "[+]", "degraded": "[!]", "failing": "[-]"}


class Health:
    """Liveness asks only whether the loop turns: a broker that is away must not make an orchestrator restart us."""

    def __init__(self, desk: Desk, clock: Clock, liveness_timeout: float) -> None:
        self._desk = desk
        self._clock = clock
        self._liveness_timeout = liveness_timeout

    def live(self, request: Request) -> Response:
        """200 unless the loop has not turned for ``liveness_timeout`` seconds."""
        alive = self._turning(self._desk.status())
        return _answer(request, {"loop": "ok" if alive else "failing"}, good=alive)

    def ready(self, request: Request) -> Response:
        """200 when the loop says that state is restored, sources are assigned and nobody has asked it to stop."""
        status = self._desk.status()
        checks = {name: check.status for name, check in sorted(status.checks.items())}
        return _answer(request, {"ready": "ok" if status.ready else "failing", **checks}, good=status.ready)

    def _turning(self, status: Status) -> bool:
        return self._clock.now() - status.loop_turned_at <= self._liveness_timeout


def overall(status: Status) -> str:
    """The worst of all checks: ``ok``, ``degraded`` or ``failing``."""
    severities = list(MARKS)
    return max((check.status for check in status.checks.values()), key=severities.index, default="ok")


def _answer(request: Request, checks: Mapping[str, str], *, good: bool) -> Response:
    word = "ok" if good else "failing"
    text = f"{word}\n"
    if "verbose" in request.query:
        text = "".join(f"{MARKS[status]}{name} {status}\n" for name, status in checks.items()) + text
    return Response(200 if good else 503, TEXT, text.encode())
