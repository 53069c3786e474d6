"""Schema registries: Apicurio's, a real one that speaks Confluent's API, and a stub that says what it is told to."""

from __future__ import annotations

import json
import re
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from servers.need import INSTALL, ROOT, MissingServerError, program
from servers.process import ServerProcess, answers, free_ports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# The compiler's quick tier and the plain collector, as for the broker.
JAVA = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:ActiveProcessorCount=2"]


def registry_directory() -> Path:
    """Where the registry lies, of the version that the script installs."""
    version = re.search("^registry_version=(.*)$", (ROOT / INSTALL).read_text(), re.MULTILINE)
    assert version is not None
    directory = ROOT / ".cache" / "schema-registry" / version[1]
    if not (directory / ".complete").exists():
        raise MissingServerError(f"Apicurio Registry {version[1]} (.cache/schema-registry)")
    return directory


class RegistryServer:
    """One registry on loopback, its schemas in memory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
        (jar,) = registry_directory().glob("*-runner.jar")
        where = ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}"]
        command = [program("java"), *JAVA, *where, "-jar", str(jar)]
        ready = lambda: answers(f"{self.url}/subjects")
        self.process = ServerProcess("schema registry", command, ready, directory / "log")

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()

    def register(self, subject: str, text: str, kind: str = "AVRO", references: Sequence[dict[str, Any]] = ()) -> int:
        """Put a schema under a subject, as a producer's serializer does; returns its id."""
        body = json.dumps({"schema": text, "schemaType": kind, "references": list(references)}).encode()
        request = urllib.request.Request(f"{self.url}/subjects/{subject}/versions", body, method="POST")
        request.add_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(json.loads(response.read())["id"])


class RegistryStub:
    """Answers GETs of paths in ``answers`` with a status and a document or text, others with 404 and Confluent's code.

    ``requests`` are the paths that were asked for, with their headers. While ``away`` is set every answer is 503.
    """

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.away = False
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # http.server's name
                stub.requests.append((self.path, dict(self.headers)))
                status, answer = stub.answers.get(self.path, (404, {"error_code": 40403, "message": "not found"}))
                if stub.away:
                    status, answer = 503, "away"
                body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
