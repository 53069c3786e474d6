"""What may be set about the schema registry: ``[kafka.schema_registry]``."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from monitor.catalog.durations import PositiveSeconds
from monitor.catalog.tables import FilePath, HttpUrl, Settings


class SchemaRegistrySettings(Settings):
    """``[kafka.schema_registry]``: the ``urls`` of one registry are asked in turn; without any there is none."""

    urls: tuple[HttpUrl, ...] = ()
    timeout: PositiveSeconds = 5.0
    username: str = ""
    password_file: FilePath = ""
    bearer_token_file: FilePath = ""
    ca_file: FilePath = ""

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file go together")
        if self.username and self.bearer_token_file:
            raise ValueError("username and bearer_token_file exclude each other")
        return self
