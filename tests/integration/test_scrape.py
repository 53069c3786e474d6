"""A real Prometheus and its promtool against a running server."""

from __future__ import annotations

import socket
import ssl
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest
from fakes.desk import HOSTILE_NAMES, FakeDesk, made_status
from servers.need import program

from monitor.clock import SystemClock
from monitor.telemetry.metrics import RESULTS, Metrics
from monitor.web.server import WebServer
from monitor.web.settings import HttpSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers.prometheus import PrometheusServer

pytestmark = pytest.mark.servers

NAMES = [*HOSTILE_NAMES, *(f"model-{i:04d}" for i in range(1000))]
SCRAPE = """
global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
  - job_name: modelwatch
    {access}
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
  - job_name: modelwatch-models
    metrics_path: /metrics/models
    {access}
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""


def served(settings: HttpSettings) -> Iterator[WebServer]:
    desk = FakeDesk(made_status(NAMES))
    metrics = Metrics(version="0.1.0")
    metrics.read_status(desk.status)
    metrics.expect_topics(["ml.predictions"])
    metrics.event_delay.observe_many([0.5, 2.0])
    metrics.consumer_lag.show({("ml.predictions", "0"): 12})
    metrics.alertmanager_notifications.read_from(lambda: {("am:9093", result): 1.0 for result in RESULTS})
    server = WebServer(settings, desk, metrics, SystemClock())
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def server() -> Iterator[WebServer]:
    yield from served(HttpSettings(listen="127.0.0.1:0"))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=modelwatch", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [program("openssl"), *request, *names, "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    return cert, key


@pytest.mark.parametrize("path", ["/metrics", "/metrics/models"])
def test_promtool_finds_nothing_to_lint(server: WebServer, path: str) -> None:
    """`promtool check metrics` is silent about both addresses."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as response:
        exposition = response.read()
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"], input=exposition, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def scraped(prometheus: PrometheusServer) -> None:
    """Both jobs are up, no sample was refused, and hostile names came through as they are."""
    prometheus.wait("count(up == 1) == 2")
    targets = prometheus.get("/api/v1/targets")["data"]["activeTargets"]
    assert [target["lastError"] for target in targets] == ["", ""]
    states = prometheus.wait("modelwatch_model_state")
    assert {series["metric"]["model"] for series in states} == set(NAMES)
    assert prometheus.query("sum(modelwatch_models)")[0]["value"][1] == str(len(NAMES))
    assert prometheus.query('modelwatch_event_delay_seconds_bucket{le="1.0"}')[0]["value"][1] == "1"
    assert prometheus.query("modelwatch_consumer_lag_records")[0]["value"][1] == "12"
    own = prometheus.query('scrape_samples_scraped{job="modelwatch"}')
    assert 0 < int(own[0]["value"][1]) < 1000


def test_prometheus_scrapes_both_addresses(
    server: WebServer, start_prometheus: Callable[[str], PrometheusServer]
) -> None:
    """A real Prometheus takes every series of the daemon and of the fleet."""
    scraped(start_prometheus(SCRAPE.format(port=server.port, access="scheme: http")))


def test_prometheus_scrapes_over_tls_with_a_token(
    certificate: tuple[Path, Path], tmp_path: Path, start_prometheus: Callable[[str], PrometheusServer]
) -> None:
    """The same over TLS, with a bearer token; and a client that speaks no TLS holds up no one."""
    cert, key = certificate
    tokens = tmp_path / "tokens"
    tokens.write_text("scraper-token status\n")
    settings = HttpSettings(
        listen="127.0.0.1:0", token_file=str(tokens), tls_cert_file=str(cert), tls_key_file=str(key)
    )
    for server in served(settings):
        with socket.create_connection(("127.0.0.1", server.port)) as silent:
            silent.sendall(b"GET / HTTP/1.1\r\n\r\n")
            access = (
                f"scheme: https\n    tls_config: {{ ca_file: {cert} }}\n"
                "    authorization: { credentials: scraper-token }"
            )
            scraped(start_prometheus(SCRAPE.format(port=server.port, access=access)))


def test_stopping_ends_tls_connections(certificate: tuple[Path, Path]) -> None:
    """A TLS connection that is kept open does not hold up the stop."""
    cert, key = certificate
    context = ssl.create_default_context(cafile=cert)
    for server in served(HttpSettings(listen="127.0.0.1:0", tls_cert_file=str(cert), tls_key_file=str(key))):
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 ")
            server.stop()
            assert not server._server._open
