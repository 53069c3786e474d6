"""Would an alert arrive? A test alert is posted to each Alertmanager and resolved (``modelwatch alerts test``)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from monitor.clock import Clock
from monitor.errors import NotifyError
from monitor.notify.alertmanager import Alertmanager, Transport
from monitor.notify.delivery import ENDS_AT_FACTOR
from monitor.notify.notifier import reader_names
from monitor.notify.payload import SERVICE, TEST, Alert, document, links
from monitor.notify.settings import AlertmanagerSettings


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What one Alertmanager said; ``detail`` tells why where it was not ``ok``."""

    alertmanager: str
    ok: bool
    detail: str


def rehearse(
    settings: AlertmanagerSettings,
    clock: Clock,
    external_url: str = "",
    *,
    hold_seconds: float = 0.0,
    connect: Callable[[str, AlertmanagerSettings], Transport] = Alertmanager,
) -> list[Rehearsed]:
    """Fire ``ModelwatchTest`` at every Alertmanager, wait ``hold_seconds``, and resolve it where it was taken.

    An alert that resolves within the ``group_wait`` of its route notifies nobody: to see it arrive at a receiver, hold
    it for longer than that.
    """
    labels = {"alertname": TEST, "severity": "info", "service": SERVICE}
    annotations = {
        "summary": "A test alert of modelwatch.",
        "description": "Someone ran `modelwatch alerts test`; it resolves by itself.",
        "runbook_url": links(external_url).runbook(TEST),
    }
    alert = Alert(labels, {name: text for name, text in annotations.items() if text}, links(external_url).external_url)
    transports = {name: connect(url, settings) for name, url in reader_names(settings.urls).items()}
    began = clock.now()
    problems: dict[str, str] = {}

    def post(name: str, ends_at: float) -> None:
        body = json.dumps([document(alert, settings.external_labels, began, ends_at)]).encode()
        problems[name] = _problem(transports[name], body, settings.timeout)

    for name in transports:
        post(name, began + max(ENDS_AT_FACTOR * settings.resend, 2 * hold_seconds))
    taken = [name for name, problem in problems.items() if not problem]
    if hold_seconds and taken:
        clock.sleep(hold_seconds)
    for name in taken:
        post(name, clock.now())
    for transport in transports.values():
        transport.close()
    return [Rehearsed(name, not problem, problem or "fired and resolved") for name, problem in problems.items()]


def _problem(transport: Transport, body: bytes, timeout_seconds: float) -> str:
    """Why a post was not taken; empty where it was."""
    try:
        reply = transport.post(body, timeout_seconds)
    except NotifyError as error:
        return str(error)
    return "" if reply.status // 100 == 2 else f"HTTP {reply.status} {reply.text}".rstrip()
