"""Certificates that are made for one run: an authority, a server on loopback, and a client."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Certificates:
    """PEM files in ``directory``: ``ca``, and of ``server`` and ``client`` certificate, key, and both in one file."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.ca = directory / "ca.pem"
        self._ca_key = directory / "ca.key"
        _openssl("req", "-x509", *_KEY, "-subj", "/CN=tests", "-days", "2", "-keyout", self._ca_key, "-out", self.ca)
        self.server = self._signed(directory, "server")
        self.client = self._signed(directory, "client")

    def _signed(self, directory: Path, name: str) -> Path:
        """``name.pem`` holds key and certificate, ``name.key`` and ``name.crt`` one of them each."""
        request, key, certificate = (directory / f"{name}.{end}" for end in ("csr", "key", "crt"))
        extensions = directory / f"{name}.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        _openssl("req", *_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        signing = ("-CA", self.ca, "-CAkey", self._ca_key, "-CAcreateserial", "-days", "2", "-extfile", extensions)
        _openssl("x509", "-req", "-in", request, *signing, "-out", certificate)
        both = directory / f"{name}.pem"
        both.write_text(key.read_text() + certificate.read_text())
        return both


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
