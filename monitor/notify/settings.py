"""What may be set about who is told: ``[alertmanager]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, PlainSerializer, field_validator, model_validator

from monitor.catalog.durations import PositiveSeconds
from monitor.catalog.tables import HIDDEN, FilePath, FrozenTable, HttpUrl, Settings, TextMap

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_OWNED_HEADERS = frozenset({"content-length", "content-type", "host", "transfer-encoding", "connection", "user-agent"})


def _labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in labels.items():
        if _LABEL.fullmatch(name) is None:
            raise ValueError(f'"{name}" is not a label name (letters, digits, underscore; no digit first)')
        if not value:
            raise ValueError(f'"{name}" is empty, which Alertmanager takes for no label')
    return labels


def _headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if _HEADER.fullmatch(name) is None or name.lower() in _OWNED_HEADERS:
            raise ValueError(f'"{name}" is not a header that may be set')
        if not all(32 <= ord(character) <= 255 and ord(character) != 127 for character in value):
            raise ValueError(f'the value of "{name}" holds a character that a header cannot')
    return headers


def _hidden(headers: Mapping[str, str]) -> dict[str, str]:
    return dict.fromkeys(headers, HIDDEN)


class AlertmanagerSettings(Settings):
    """``[alertmanager]``: without ``urls`` incidents go to the log alone. A path in a URL is put before the API's."""

    urls: tuple[HttpUrl, ...] = ()
    external_labels: Annotated[TextMap, AfterValidator(_labels)] = FrozenTable()
    resend: PositiveSeconds = 60.0
    timeout: PositiveSeconds = 10.0
    watchdog: bool = False
    username: str = ""
    password_file: FilePath = ""
    bearer_token_file: FilePath = ""
    ca_file: FilePath = ""
    insecure_skip_verify: bool = False
    headers: Annotated[
        TextMap, AfterValidator(_headers), PlainSerializer(_hidden, return_type=dict[str, str], when_used="json")
    ] = Field(default=FrozenTable(), repr=False)

    @field_validator("urls", mode="after")
    @classmethod
    def _urls_differ(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(urls)) < len(urls):
            raise ValueError("an Alertmanager is named twice")
        return urls

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file go together")
        authorized = any(name.lower() == "authorization" for name in self.headers)
        if bool(self.username) + bool(self.bearer_token_file) + authorized > 1:
            raise ValueError("username, bearer_token_file and an Authorization header exclude each other")
        return self
