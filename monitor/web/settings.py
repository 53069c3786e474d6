"""What may be set about what is shown: ``[http]``."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from monitor.catalog.durations import PositiveSeconds
from monitor.catalog.tables import FilePath, Settings, http_url

_LISTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):(?P<port>\d{1,5})", re.ASCII)


def _address(text: str) -> str:
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError('is not an address such as "127.0.0.1:9899"')
    return text


def _url_or_nothing(text: str) -> str:
    return http_url(text) if text else text


class HttpSettings(Settings):
    """``[http]``. An empty host in ``listen`` means every address, port 0 any free one."""

    listen: Annotated[str, AfterValidator(_address)] = "127.0.0.1:9899"
    external_url: Annotated[str, AfterValidator(_url_or_nothing)] = ""
    token_file: FilePath = ""
    tls_cert_file: FilePath = ""
    tls_key_file: FilePath = ""
    liveness_timeout: PositiveSeconds = 60.0

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ValueError("tls_cert_file and tls_key_file go together")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host (without brackets, empty for every address) and port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)
