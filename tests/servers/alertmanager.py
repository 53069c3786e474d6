"""A real Alertmanager with the configuration that a test gives it."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any, Self

from servers.need import program
from servers.process import ServerProcess, answers, free_ports

if TYPE_CHECKING:
    from pathlib import Path

TO_WEBHOOK = """\
route:
  receiver: webhook
  group_by: [alertname, model]
  group_wait: 100ms
  group_interval: 1s
  repeat_interval: 4h
receivers:
  - name: webhook
    webhook_configs:
      - url: {url}
        send_resolved: true
"""
"""The plain configuration: everything to one webhook, at once. Fill in ``url``."""


class AlertmanagerServer:
    """One Alertmanager without peers. ``stop`` or ``kill`` and ``start`` again: same port, same data."""

    def __init__(self, directory: Path, config: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._config = directory / "alertmanager.yml"
        self._config.write_text(config)
        command = [
            program("prometheus-alertmanager", "alertmanager"),
            f"--config.file={self._config}",
            f"--storage.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        self.process = ServerProcess("alertmanager", command, lambda: answers(f"{self.url}/-/ready"), directory / "log")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()

    def start(self) -> float:
        return self.process.start()

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it holds now, as ``GET /api/v2/alerts`` tells them."""
        return self._get("/api/v2/alerts")

    def remembers(self) -> bool:
        """Whether it has looked into its log of notifications and found one, which it writes behind the sending.

        That a message is counted as sent says nothing of the log: on a busy machine an Alertmanager that was stopped
        then had sent what it did not remember.
        """
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as response:
            lines = response.read().decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if line.startswith("alertmanager_nflog_quer"))
        return float(values["alertmanager_nflog_queries_total"]) > float(
            values["alertmanager_nflog_query_errors_total"]
        )

    def silences(self) -> list[dict[str, Any]]:
        return self._get("/api/v2/silences")

    def silence(self, silence: dict[str, Any]) -> str:
        """Post ``silence`` (API v2) and return its id."""
        body = json.dumps(silence).encode()
        request = urllib.request.Request(
            f"{self.url}/api/v2/silences", body, {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            return str(json.load(response)["silenceID"])

    def _get(self, path: str) -> list[dict[str, Any]]:
        with urllib.request.urlopen(self.url + path, timeout=5) as response:
            found: list[dict[str, Any]] = json.load(response)
        return found
