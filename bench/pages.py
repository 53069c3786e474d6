"""How long does each page of a fleet of 10,000 models take, over HTTP and with all that makes it?

The picture of the fleet is made (`tests/fakes`), the server is the daemon's. Prints the median and the slowest of
twenty requests of each page, in milliseconds.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import structlog
from fakes.desk import FakeDesk, made_status

from monitor.clock import SystemClock
from monitor.telemetry.metrics import Metrics
from monitor.web.server import WebServer
from monitor.web.settings import HttpSettings

MODELS = 10_000
INCIDENTS = 300
REQUESTS = 20


def main() -> None:
    """Measure every page."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    names = [f"family-{i % 40:02d}-model-{i:05d}" for i in range(MODELS)]
    desk = FakeDesk(made_status(names, incidents=INCIDENTS))
    server = WebServer(HttpSettings(listen="127.0.0.1:0"), desk, Metrics(version="0"), SystemClock())
    server.start()
    incident = desk.status().incidents[0]
    pages = {
        "fleet": "/",
        "fleet, searched": "/?q=07-model&sort=-drift_ratio",
        "fleet, last page": "/?sort=-events&state=watching",
        "model": f"/models/{quote(incident.model, safe='')}",
        "incident": f"/incidents/{incident.id}",
        "runbook": f"/runbooks/{incident.alertname}",
    }
    print(f"{'page':18} {'median ms':>10} {'slowest ms':>11} {'kB':>7}")
    for name, path in pages.items():
        took, size = [], 0
        for _ in range(REQUESTS):
            began = time.perf_counter()
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=30) as answer:
                size = len(answer.read())
            took.append(1e3 * (time.perf_counter() - began))
        print(f"{name:18} {statistics.median(took):10.1f} {max(took):11.1f} {size / 1e3:7.0f}")
    server.stop()


if __name__ == "__main__":
    main()
