"""What the service manager is told: that the daemon is ready, that its loop turns, that it stops (``sd_notify(3)``)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class ServiceManager:
    """Writes to the socket that systemd names in ``NOTIFY_SOCKET``; without one every call does nothing.

    Nothing here waits or raises: a service manager that does not listen must not hold up the loop.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        address = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
        # A name that begins with @ is in the abstract namespace, whose names begin with a zero byte.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)

    def ready(self) -> None:
        """The state is restored, and the loop is about to turn."""
        self._send("READY=1")

    def turning(self, status: str) -> None:
        """The loop has turned; ``status`` is shown by ``systemctl status``. To be told by the loop itself."""
        self._send(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The loop has ended, and things are let go of."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()

    def _send(self, state: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(state.encode(), self._address)
