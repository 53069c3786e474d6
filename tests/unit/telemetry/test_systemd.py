"""Is the service manager told what it must know?"""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from monitor.telemetry.systemd import ServiceManager

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("abstract", [False, True])
def test_states_arrive_as_sent(tmp_path: Path, abstract: bool) -> None:
    """Ready, turning and stopping are the datagrams of sd_notify(3), to a path or an abstract name."""
    name = f"@modelwatch-{tmp_path.name}-{id(tmp_path)}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name[1:]}" if abstract else name)
        listener.settimeout(5)
        with closing(ServiceManager({"NOTIFY_SOCKET": name})) as manager:
            manager.ready()
            manager.turning("12 models")
            manager.stopping()
        received = [listener.recv(200) for _ in range(3)]
    assert received == [b"READY=1", b"WATCHDOG=1\nSTATUS=12 models", b"STOPPING=1"]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_nobody_listening_is_no_error(environ: dict[str, str]) -> None:
    """Without a service manager, or with one that has gone, the loop is not disturbed."""
    with closing(ServiceManager(environ)) as manager:
        manager.ready()
        manager.turning("")


def test_a_full_queue_does_not_wait(tmp_path: Path) -> None:
    """A service manager that reads nothing loses news, and holds up nobody."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        with closing(ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")})) as manager:
            for _ in range(10_000):
                manager.turning("x" * 100)
