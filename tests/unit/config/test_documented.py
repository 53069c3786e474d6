"""Whether the manual and the example know every key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitor.catalog.environment import keys, variable
from monitor.catalog.tables import keys_of, table_in
from monitor.catalog.toml import toml_value
from monitor.config import Tables, load
from monitor.ingest.settings import OWNED_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

ROOT = Path(__file__).parents[3]
MANUAL = (ROOT / "docs/configuration.md").read_text()
EXAMPLE = ROOT / "config.example.toml"
SECTIONS = [name for name in keys_of(Tables) if name != "include"]


def rows(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    """Key and default of each row that the manual must have."""
    for key, field in keys_of(model).items():
        inner, many = table_in(field)
        if inner is not None and not many:
            yield from rows(inner, f"{above}{key}.")
            continue
        yield f"{above}{key}", default(model, key)
        if inner is not None:
            yield from rows(inner, f"{above}{key}[].")


def default(model: type[BaseModel], key: str) -> str:
    field = keys_of(model)[key]
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    name = next(name for name, candidate in model.model_fields.items() if candidate is field)
    dumped = model.model_construct(**{name: value}).model_dump(
        mode="json", include={name}, by_alias=True, exclude_unset=True
    )
    return f"`{toml_value(dumped[key])}`"


@pytest.mark.parametrize("section", SECTIONS)
def test_the_manual_has_every_key_with_its_default(section: str) -> None:
    """Each table of the manual has the keys of the program, in both directions, with the defaults of the program."""
    inner, many = table_in(keys_of(Tables)[section])
    assert inner is not None
    title = f"## [[{section}]]" if many else f"## [{section}]"
    (text,) = re.findall(rf"^{re.escape(title)}\n(.*?)(?=^## |\Z)", MANUAL, re.MULTILINE | re.DOTALL)
    written = dict(re.findall(r"^\| `([^`]+)` \| (.*?) \| \S", text, re.MULTILINE))
    assert written == dict(rows(inner))


def test_the_manual_knows_what_is_not_passed_through() -> None:
    """Every setting of librdkafka that is refused is named."""
    assert [key for key in OWNED_KEYS if f"`{key}`" not in MANUAL] == []
    assert "`include = " in MANUAL


def test_the_example_has_every_key() -> None:
    """Each key stands in the example under its table, active or as a comment."""
    text = EXAMPLE.read_text()
    for section in SECTIONS:
        inner, _ = table_in(keys_of(Tables)[section])
        assert inner is not None
        parts = re.findall(rf"^\[+{section}\b[^\n]*\n.*?(?=^\[+(?!{section}\b)|\Z)", text, re.MULTILINE | re.DOTALL)
        for key, _ in rows(inner):
            last = key.rpartition(".")[2]
            assert any(re.search(rf"(?:^|[\s{{#.]){last}(?:\s*=|\.|\]|$)", part, re.MULTILINE) for part in parts), (
                section,
                key,
            )


def test_the_example_loads() -> None:
    """The example is a configuration without a fault, and what it does not say otherwise is the default."""
    config = load(EXAMPLE, {})
    bare = load(None, {})
    same = ("store", "clock", "budget", "attention", "http", "privacy", "cluster", "limits", "log")
    assert [name for name in same if getattr(config, name) != getattr(bare, name)] == []
    assert config.policies.resolve("other") == bare.policies.resolve("other")
    assert config.policies.resolve("credit-limit").team == "risk"


def test_every_key_can_be_said_by_the_environment() -> None:
    """Each key outside of [[models]] has a variable, and no two share one."""
    names = [variable(key) for key in keys(Tables) if key[0] != "models"]
    assert len(set(names)) == len(names)
    assert "MODELWATCH_KAFKA__GROUP_ID" in names
    assert "MODELWATCH_PRIVACY__RETENTION__TICKS" in names
