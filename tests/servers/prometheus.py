"""A real Prometheus that scrapes what a test tells it to."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, Self

from servers.need import program
from servers.process import ServerProcess, answers, free_ports

if TYPE_CHECKING:
    from pathlib import Path


class PrometheusServer:
    """One Prometheus with the configuration that a test gives it."""

    def __init__(self, directory: Path, config: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._config = directory / "prometheus.yml"
        self._config.write_text(config)
        command = [
            program("prometheus"),
            f"--config.file={self._config}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        self.process = ServerProcess("prometheus", command, lambda: answers(f"{self.url}/-/ready"), directory / "log")

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

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=expression)["data"]["result"]
        return found

    def get(self, path: str, **arguments: str) -> dict[str, Any]:
        """The document that the HTTP API gives at ``path``."""
        url = f"{self.url}{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=5) as response:
            found: dict[str, Any] = json.load(response)
        return found

    def wait(self, expression: str, seconds: float = 15.0) -> list[dict[str, Any]]:
        """Wait until ``expression`` has a result, and return it."""
        deadline = time.monotonic() + seconds
        while not (found := self.query(expression)):
            assert time.monotonic() < deadline, f"{expression} is empty after {seconds} s"
            time.sleep(0.1)
        return found
