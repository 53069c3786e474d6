"""The daemon itself as a process, `modelwatch run`, with a configuration and a store that outlive it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from servers.process import ServerProcess, answers, free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PROGRAM = (sys.executable, "-m", "monitor")
"""`modelwatch`, as the interpreter that runs the tests has it."""


def clean_environment() -> dict[str, str]:
    """The environment without what would overlay a configuration."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MODELWATCH_")}


def modelwatch(*words: str | Path, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [*PROGRAM, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=seconds, env=clean_environment()
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What the daemon said over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Daemon:
    """One daemon. ``stop`` or ``kill`` and ``start`` again: same configuration, same store, same port.

    ``config`` is the configuration but for ``[store]`` and ``[http]``, which are the harness's own. It has started
    when ``probe`` says so. ``token`` is what it is asked with.
    """

    def __init__(
        self,
        directory: Path,
        config: str,
        *,
        commit: str = "1s",
        external_url: str = "",
        probe: str = "readyz",
        program: tuple[str, ...] = PROGRAM,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.config = directory / "config.toml"
        self.store = directory / "store"
        self.log = directory / "log"
        self.token = ""
        tables = f'[store]\npath = "{self.store}"\ncommit = "{commit}"\n[http]\nlisten = "127.0.0.1:{port}"\n'
        self.config.write_text(f'{tables}external_url = "{external_url}"\n{config}')
        command = [*program, "run", "--config", str(self.config)]
        self._process = _Ended("modelwatch", command, lambda: answers(f"{self.url}/{probe}"), self.log)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()

    def start(self) -> float:
        """Start and wait until it is ready; returns the seconds that took."""
        return self._process.start()

    def stop(self) -> tuple[int, float]:
        """End it as an operator would; returns the exit code and the seconds that took."""
        return self._process.end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.running

    def get(self, path: str) -> Answer:
        """GET ``path``, whatever the status."""
        request = urllib.request.Request(self.url + path)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return Answer(response.status, _headers(response.headers.items()), response.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, _headers(refused.headers.items()), refused.read())

    def status(self) -> Any:
        return self.get("/api/v1/status").json

    def models(self) -> dict[str, Any]:
        """Every model by its name."""
        return {row["model"]: row for row in self.get("/api/v1/models?limit=1000").json["items"]}

    def model(self, name: str) -> Any:
        return self.get(f"/api/v1/models/{quote(name, safe='')}").json

    def incidents(self) -> list[Any]:
        """All incidents at hand, the oldest first."""
        items = self.get("/api/v1/incidents?limit=1000").json["items"]
        return sorted(items, key=lambda incident: (incident["fired_time"], incident["id"]))

    def metric(self, name: str) -> dict[str, float]:
        """The samples of a metric of `/metrics` by their labels, as they stand there."""
        samples = {}
        for line in self.get("/metrics").text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name:
                samples[series[len(name) :]] = float(value)
        return samples

    def n_events(self) -> int:
        """Events of all models together, as their store has them."""
        return sum(row["events"] for row in self.models().values())

    def until(self, holds: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert self.running, f"the daemon has ended:\n{self._process.tail()}"
            assert time.monotonic() < deadline, f"not after {seconds} s:\n{self._process.tail()}"
            time.sleep(0.05)


class _Ended(ServerProcess):
    """A process whose end is looked at."""

    def end(self, how: signal.Signals) -> tuple[int, float]:
        process, began = self._process, time.monotonic()
        assert process is not None, f"{self.name} is not running"
        self._end(how)
        return process.returncode, time.monotonic() - began


def _headers(items: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in items}
