"""Notifications in front of a real Alertmanager, behind which a webhook collects what people would be told."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from servers.alertmanager import TO_WEBHOOK, AlertmanagerServer
from servers.need import program
from servers.process import ServerProcess, accepts, free_ports

from monitor.clock import SystemClock
from monitor.incidents.incident import Effect, Incident
from monitor.notify.notifier import Notifications
from monitor.notify.rehearsal import rehearse
from monitor.notify.settings import AlertmanagerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers.webhook import WebhookReceiver

    StartAlertmanager = Callable[[str], AlertmanagerServer]
    Notify = Callable[..., Notifications]

pytestmark = pytest.mark.servers

ROUTING = Path(__file__).parents[2] / "deploy" / "alertmanager" / "modelwatch.yml"
RESEND = 1.0


def incident(model: str = "credit", alertname: str = "ModelFeatureDrift", **changes: Any) -> Incident:
    labels = {
        "alertname": alertname,
        "severity": changes.pop("severity", "warning"),
        "service": "modelwatch",
        "model": model,
    }
    labels |= changes.pop("labels", {})
    fields: dict[str, Any] = {
        "id": f"{alertname}-{model}",
        "kind": "drift",
        "alertname": alertname,
        "model": model,
        "version": "7",
        "detector": "drift",
        "feature": "income",
        "output": None,
        "attribute": None,
        "group": None,
        "severity": labels["severity"],
        "state": "firing",
        "onset_time": None,
        "fired_time": time.time(),
        "paged_time": time.time(),
        "resolved_time": None,
        "effect": Effect("psi", 0.31, 0.25),
        "evidence_log10": 6.3,
        "summary": "A model input feature has drifted from its reference.",
        "description": f"{model} has drifted.",
        "labels": labels,
        "cells": (),
    }
    return Incident(**{**fields, **changes})


def resolved(model: str = "credit", **changes: Any) -> Incident:
    return incident(model, state="resolved", resolved_time=time.time(), **changes)


def until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def told(bodies: list[Any]) -> list[tuple[str, set[str]]]:
    """What people were told: state and models, in order."""
    return [(body["status"], {alert["labels"]["model"] for alert in body["alerts"]}) for body in bodies]


def results(notifications: Notifications) -> dict[str, int]:
    """The counts of the only Alertmanager."""
    return {result: count for (_, result), count in notifications.counts().items()}


@pytest.fixture
def notify() -> Iterator[Notify]:
    """Start notifications to these Alertmanagers; they end with the test."""
    started: list[Notifications] = []

    def make(*urls: str, external_url: str = "https://watch.example", **keys: Any) -> Notifications:
        settings = AlertmanagerSettings(urls=urls, resend=f"{RESEND}s", timeout="2s", **keys)
        notifications = Notifications(settings, SystemClock(), external_url)
        notifications.start()
        started.append(notifications)
        return notifications

    yield make
    for notifications in started:
        notifications.stop(1.0)


def test_fires_once_and_resolves_once(
    start_alertmanager: StartAlertmanager, webhook: WebhookReceiver, notify: Notify
) -> None:
    """People are told of the firing once, of no resend, and of the end once, with labels and links as sent."""
    server = start_alertmanager(TO_WEBHOOK.format(url=webhook.url))
    notifications = notify(server.url, external_labels={"env": "test"})
    notifications.offer([incident(id="i/1")])
    (body,) = webhook.wait(lambda bodies: len(bodies) == 1)
    alert = body["alerts"][0]
    assert alert["labels"] == {**incident().labels, "env": "test"}
    assert alert["generatorURL"] == "https://watch.example/incidents/i%2F1"
    assert alert["annotations"]["runbook_url"] == "https://watch.example/runbooks/ModelFeatureDrift"
    until(lambda: results(notifications)["sent"] >= 4)
    assert len(webhook.bodies) == 1
    (held,) = server.alerts()
    assert held["status"]["state"] == "active"

    notifications.offer([resolved(id="i/1")])
    bodies = webhook.wait(lambda bodies: len(bodies) == 2)
    count = results(notifications)["sent"]
    until(lambda: results(notifications)["sent"] >= count + 2)
    assert told(webhook.bodies) == [("firing", {"credit"}), ("resolved", {"credit"})]
    assert bodies[1]["alerts"][0]["startsAt"] == alert["startsAt"]


def test_stopping_resolves_nothing_but_silence_does(
    start_alertmanager: StartAlertmanager, webhook: WebhookReceiver, notify: Notify
) -> None:
    """A stopped daemon leaves its alerts active; one that does not come back lets them end after four resends."""
    server = start_alertmanager(TO_WEBHOOK.format(url=webhook.url))
    notifications = notify(server.url)
    notifications.offer([incident()])
    webhook.wait(lambda bodies: len(bodies) == 1)
    assert notifications.stop() == 0
    (held,) = server.alerts()
    assert held["status"]["state"] == "active"
    webhook.wait(lambda bodies: told(bodies) == [("firing", {"credit"}), ("resolved", {"credit"})])


def test_one_dead_alertmanager(start_alertmanager: StartAlertmanager, webhook: WebhookReceiver, notify: Notify) -> None:
    """The live one is told at once, the dead one is shown as degraded, and it learns all when it is back."""
    dead = start_alertmanager(TO_WEBHOOK.format(url=webhook.url + "dead"))
    live = start_alertmanager(TO_WEBHOOK.format(url=webhook.url))
    dead.kill()
    notifications = notify(dead.url, live.url)
    began = time.monotonic()
    notifications.offer([incident()])
    webhook.wait(lambda bodies: len(bodies) == 1)
    assert time.monotonic() - began < 2.0
    checks = {name: status for name, status, _ in notifications.check()}
    assert checks == {
        f"alertmanager {dead.url.removeprefix('http://')}": "degraded",
        f"alertmanager {live.url.removeprefix('http://')}": "ok",
    }
    dead.start()
    until(lambda: len(dead.alerts()) == 1, 35.0)
    until(lambda: {status for _, status, _ in notifications.check()} == {"ok"})


def test_a_restarted_alertmanager(
    start_alertmanager: StartAlertmanager, webhook: WebhookReceiver, notify: Notify
) -> None:
    """An Alertmanager that lost its alerts is told again, nobody is notified twice, and the end arrives."""
    server = start_alertmanager(TO_WEBHOOK.format(url=webhook.url))
    notifications = notify(server.url)
    notifications.offer([incident()])
    webhook.wait(lambda bodies: len(bodies) == 1)
    until(server.remembers)
    server.stop()
    time.sleep(0.5)
    server.start()
    until(lambda: len(server.alerts()) == 1, 35.0)
    count = results(notifications)["sent"]
    until(lambda: results(notifications)["sent"] >= count + 2)
    assert len(webhook.bodies) == 1
    notifications.offer([resolved()])
    webhook.wait(lambda bodies: told(bodies) == [("firing", {"credit"}), ("resolved", {"credit"})])


def test_both_restarted_and_the_end_in_between(
    start_alertmanager: StartAlertmanager, webhook: WebhookReceiver, notify: Notify
) -> None:
    """The end of an alert that both sides have lost from memory is still told, from what the store knows."""
    server = start_alertmanager(TO_WEBHOOK.format(url=webhook.url))
    first = notify(server.url)
    first.offer([incident()])
    webhook.wait(lambda bodies: len(bodies) == 1)
    until(server.remembers)
    first.stop()
    server.stop()
    server.start()
    notify(server.url).restore([resolved(fired_time=time.time() - 60)])
    webhook.wait(lambda bodies: told(bodies) == [("firing", {"credit"}), ("resolved", {"credit"})])


def test_old_alarms_arrive_as_one_group(
    start_alertmanager: StartAlertmanager, webhook: WebhookReceiver, notify: Notify
) -> None:
    """A thousand alerts of an hour ago, in four posts, are one message: their start does not tear the group."""
    config = TO_WEBHOOK.format(url=webhook.url).replace("[alertname, model]", "[alertname]").replace("100ms", "3s")
    server = start_alertmanager(config)
    notifications = notify(server.url)
    notifications.restore([incident(f"m{i}", fired_time=time.time() - 3600) for i in range(1000)])
    (body,) = webhook.wait(lambda bodies: len(bodies) == 1)
    assert len(body["alerts"]) == 1000
    assert results(notifications)["sent"] >= 1000


def test_hostile_names_arrive_unharmed(
    start_alertmanager: StartAlertmanager, webhook: WebhookReceiver, notify: Notify
) -> None:
    """Whatever a model is called, Alertmanager takes it and gives it back, and no neighbour is lost."""
    server = start_alertmanager(TO_WEBHOOK.format(url=webhook.url))
    names = ['a"b\\c', "línea\nnext", "模型", "{{ .Labels }}", "a/../b?c#d", "\x00", " "]
    notifications = notify(server.url)
    notifications.offer([incident(name, labels={"bad-name": "x", "team": ""}) for name in names])
    until(lambda: len(server.alerts()) == len(names))
    assert {alert["labels"]["model"] for alert in server.alerts()} == set(names)
    assert results(notifications)["rejected"] == 0


def test_a_real_refusal(start_alertmanager: StartAlertmanager, webhook: WebhookReceiver) -> None:
    """A label name that this Alertmanager refuses costs each alert one rejection and no endless trying."""
    server = start_alertmanager(TO_WEBHOOK.format(url=webhook.url))
    settings = AlertmanagerSettings.model_construct(
        urls=(server.url,), external_labels={"data-centre": "x"}, resend=RESEND, headers={}
    )
    notifications = Notifications(settings, SystemClock())
    notifications.start()
    notifications.offer([incident("a"), incident("b")])
    until(lambda: results(notifications)["rejected"] == 2)
    time.sleep(1.5 * RESEND)
    assert results(notifications) == {"sent": 0, "failed": 0, "dropped": 0, "rejected": 2}
    notifications.stop()


def test_tls_and_basic_authentication(tmp_path: Path, notify: Notify) -> None:
    """Behind TLS and a password alerts arrive; a wrong password is degraded until the file is put right."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1"),
            *("-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    (tmp_path / "web.yml").write_text(
        f"tls_server_config: {{cert_file: {tmp_path}/cert.pem, key_file: {tmp_path}/key.pem}}\n"
        "basic_auth_users:\n  mw: $2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n"
    )
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    (port,) = free_ports(1)
    command = [
        program("prometheus-alertmanager", "alertmanager"),
        f"--config.file={tmp_path}/alertmanager.yml",
        f"--web.config.file={tmp_path}/web.yml",
        f"--storage.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    process = ServerProcess("alertmanager", command, lambda: accepts(port), tmp_path / "log")
    process.start()
    password = tmp_path / "password"
    password.write_text("wrong")
    keys = {"username": "mw", "password_file": str(password)}
    try:
        untrusting = notify(f"https://localhost:{port}", **keys)
        until(lambda: "certificate verify failed" in untrusting.check()[0][2])
        notifications = notify(f"https://localhost:{port}", ca_file=str(tmp_path / "cert.pem"), **keys)
        notifications.offer([incident()])
        until(lambda: "HTTP 401" in notifications.check()[0][2])
        password.write_text("correct horse\n")
        until(lambda: results(notifications)["sent"] >= 1)
    finally:
        process.kill()


def test_rehearsal(start_alertmanager: StartAlertmanager, webhook: WebhookReceiver) -> None:
    """The test alert fires and resolves at the receiver when it is held for long enough."""
    config = TO_WEBHOOK.format(url=webhook.url)
    server = start_alertmanager(config)
    settings = AlertmanagerSettings(urls=(server.url, "http://127.0.0.1:1"), timeout="2s")
    results = rehearse(settings, SystemClock(), hold_seconds=0.7)
    assert [result.ok for result in results] == [True, False]
    bodies = webhook.wait(lambda bodies: len(bodies) == 2)
    assert [body["status"] for body in bodies] == ["firing", "resolved"]
    assert bodies[0]["alerts"][0]["labels"]["alertname"] == "ModelwatchTest"


def test_the_shipped_routing_is_valid() -> None:
    """The routing that is shipped passes amtool's own check."""
    done = subprocess.run([program("amtool"), "check-config", ROUTING], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"SUCCESS", done.stdout)


@pytest.mark.parametrize(
    ("receiver", "labels"),
    [
        ("modelwatch-tickets", {"alertname": "ModelFeatureDrift", "severity": "warning"}),
        ("modelwatch-pages", {"alertname": "ModelUnwarrantedAssociation", "severity": "critical"}),
        ("modelwatch-digest", {"alertname": "ModelPopulationMix", "severity": "info"}),
        ("modelwatch-shadow", {"alertname": "ModelSilent", "severity": "critical", "mode": "shadow"}),
        ("modelwatch-tickets", {"alertname": "ModelwatchTest", "severity": "info"}),
        ("modelwatch-watchdog", {"alertname": "ModelwatchWatchdog", "severity": "info"}),
        ("modelwatch-pages", {"alertname": "ModelwatchDown", "severity": "critical"}),
        ("modelwatch-tickets", {"alertname": "ModelMonitorAlertsSuppressed", "severity": "warning"}),
        ("default", {"alertname": "ModelSilent", "service": "another"}),
    ],
)
def test_the_shipped_routing_leads_where_it_says(receiver: str, labels: dict[str, str]) -> None:
    """Each kind of alert reaches its receiver, and alerts of others are left alone."""
    pairs = [f"{name}={value}" for name, value in {"service": "modelwatch", **labels}.items()]
    done = subprocess.run(
        [
            program("amtool"),
            *("config", "routes", "test", f"--config.file={ROUTING}", f"--verify.receivers={receiver}", *pairs),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_shipped_inhibitions(start_alertmanager: StartAlertmanager, notify: Notify) -> None:
    """Exactly what follows from something else is suppressed, and no neighbour with it."""
    server = start_alertmanager(ROUTING.read_text())
    notifications = notify(server.url)
    broken = {"feature": "income", "version": "7"}
    alarms = {
        "quiet silence": incident("quiet", "ModelSilent"),
        "quiet drift": incident("quiet", "ModelFeatureDrift", labels=broken),
        "quiet fairness": incident("quiet", "ModelDisparateImpact"),
        "broken quality": incident("broken", "ModelDataQuality", labels=broken),
        "broken drift": incident("broken", "ModelFeatureDrift", labels=broken),
        "broken other": incident("broken", "ModelFeatureDrift", labels={**broken, "feature": "age"}, id="other"),
        "broken output": incident("broken", "ModelPredictionDrift"),
        "schema quality": incident("schema", "ModelDataQuality"),
        "schema drift": incident("schema", "ModelFeatureDrift", labels=broken),
        "worse": incident("worse", "ModelPerformanceDegraded", severity="critical"),
        "worse too": incident("worse", "ModelPerformanceDegraded", id="too"),
        "alone": incident("alone", "ModelPerformanceDegraded"),
    }
    notifications.offer(list(alarms.values()))
    until(lambda: len(server.alerts()) == len(alarms))
    by_labels = {frozenset(found.labels.items()): name for name, found in alarms.items()}
    suppressed = {
        by_labels[frozenset(alert["labels"].items())]
        for alert in server.alerts()
        if alert["status"]["state"] == "suppressed"
    }
    assert suppressed == {"quiet drift", "quiet fairness", "broken drift", "worse too"}
