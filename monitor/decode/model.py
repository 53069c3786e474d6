"""Which model a record of a topic is of, where the configuration says it."""

from __future__ import annotations

from typing import Any

from monitor.decode.places import MISSING, Place, is_place
from monitor.decode.translated import Record


class ModelOf:
    """The model of each record as ``topics[].model`` says it: a name, or a place."""

    def __init__(self, said: str) -> None:
        self._name = said if said and not is_place(said) else None
        self._place = Place(said) if is_place(said) else None

    def __call__(self, record: Record, parsed: Any) -> Any:
        """The model, ``None`` where nothing is configured or nothing stands in the place."""
        if self._place is None:
            return self._name
        found = self._place.of(record, parsed)
        return None if found is MISSING else found
