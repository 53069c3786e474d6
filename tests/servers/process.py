"""How a server's process is started, waited for and ended by its id."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

START_SECONDS = 180.0
STOP_SECONDS = 20.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below the range of outgoing connections.

    So none of them is taken as a client's own port while a server that is to come back is down.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def answers(url: str) -> bool:
    """Whether a GET of ``url`` is answered with success."""
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return 200 <= response.status < 300
    except (urllib.error.URLError, OSError):
        return False


class ServerProcess:
    """One server; its output goes to a file, and it does not outlive the thread that started it."""

    def __init__(self, name: str, command: Sequence[str], ready: Callable[[], bool], log: Path) -> None:
        self.name = name
        self._command = list(command)
        self._ready = ready
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start and wait until it is ready; return the seconds that took."""
        assert self._process is None, f"{self.name} is running"
        began = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*_tied_to_us(), *self._command], stdout=log, stderr=log)
        while not self._ready():
            if self._process.poll() is not None:
                self._process = None
                raise AssertionError(f"{self.name} ended while starting:\n{self.tail()}")
            if time.monotonic() - began > START_SECONDS:
                self.kill()
                raise AssertionError(f"{self.name} is not ready after {START_SECONDS} s:\n{self.tail()}")
            time.sleep(0.05)
        return time.monotonic() - began

    def stop(self) -> None:
        """End it as an operator would; nothing if it is not running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would; nothing if it is not running."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def tail(self, lines: int = 20) -> str:
        """The end of what it wrote."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tied_to_us() -> list[str]:
    """The kernel ends the server with the tests, however these end."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
