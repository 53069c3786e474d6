"""What passes between the sockets and the handlers: a request, a response, a refusal."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from monitor.errors import ModelwatchError
from monitor.web.access import EVERYTHING, Reader

JSON = "application/json"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
GZIP_BYTES_MIN = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``path`` is still percent-encoded; header names in ``headers`` are lower case."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    reader: Reader = EVERYTHING
    rest: str = ""
    """What stood in the place of the route's parameter, decoded."""
    body: bytes = b""
    """What came with it, as far as it is small; only routes that write look at it."""
    form: Mapping[str, str] | None = None
    """The fields of a form on a page; ``None`` where a program writes, or nothing is written."""

    def parameter(self, name: str, default: str = "") -> str:
        """The one value of a query parameter.

        Raises
        ------
        RefusedError
            400, if it stands there twice.
        """
        values = self.query.get(name, ())
        if len(values) > 1:
            raise bad_parameter(name, "is given more than once")
        return values[0] if values else default

    def whole_number(self, name: str, default: int, low: int, high: int) -> int:
        """A query parameter that is a whole number from ``low`` to ``high``; 400 if it is not."""
        text = self.parameter(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and low <= int(text) <= high):
            raise bad_parameter(name, f"is a whole number from {low} to {high}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Response:
    """A status, a body and the headers that differ from answer to answer."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def compressed_for(self, accept_encoding: str) -> Response:
        """The same answer, with gzip where it pays and the client takes it. Level 1: a third of the time of 6."""
        if len(self.body) < GZIP_BYTES_MIN or not _takes_gzip(accept_encoding):
            return self
        headers = (*self.headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
        return replace(self, body=gzip.compress(self.body, compresslevel=1, mtime=0), headers=headers)


class RefusedError(ModelwatchError):
    """A request that is answered with an error document: ``{"error": {"code", "message"}}``."""

    def __init__(self, status: int, code: str, message: str, *headers: tuple[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers

    def response(self) -> Response:
        """The error as it is sent."""
        document = {"error": {"code": self.code, "message": str(self)}}
        return json_response(document, status=self.status, headers=self.headers)


def json_response(document: Any, *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """``document`` as JSON; numbers that are not finite become null."""
    return Response(status, JSON, msgspec.json.encode(document), headers)


def not_found(message: str) -> RefusedError:
    """404."""
    return RefusedError(404, "not_found", message)


def busy() -> RefusedError:
    """503: the loop has something better to do."""
    return RefusedError(503, "busy", "the loop is busy and did not answer in time", ("Retry-After", "1"))


def bad_parameter(name: str, problem: str) -> RefusedError:
    """400 that names the parameter."""
    return RefusedError(400, "bad_parameter", f"parameter {name} {problem}")


def _takes_gzip(accept_encoding: str) -> bool:
    for offer in accept_encoding.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
