"""Which files hold a sample, and how are they read? Native events as they are, tables as events, references as such."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from monitor.catalog import profile, training
from monitor.catalog.profile import Profile
from monitor.errors import UsageError
from monitor.ingest.file_lines import LineFile
from monitor.ingest.tables import TableColumns, table_columns, table_events

REFERENCE = ".mwref"
KINDS = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet")
_LINES = (".jsonl", ".jsonl.gz")
_ROWS_TIME = 1_700_000_000
"""Rows of a table without a time need some; which plays no part."""
_CANDIDATE = "candidate"


class _Named(msgspec.Struct):
    model: str = ""


_named = msgspec.json.Decoder(_Named).decode


@dataclass(frozen=True, slots=True)
class Roles:
    """What the columns of tables that are not of events are: names of columns, ``None`` where there is none."""

    label: str | None = None
    score: str | None = None
    value: str | None = None
    outcome: str | None = None
    id: str | None = None
    sensitive: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()

    def training(self) -> training.Columns:
        """As a training set's columns: what is no feature and no answer is left out."""
        others = {each for each in (self.outcome, self.id, *self.sensitive) if each is not None}
        return training.Columns(self.label, self.score, self.value, self.left_out | others, self.categories)

    def table(self, texts: frozenset[str]) -> TableColumns:
        """As the columns of a table of cases."""
        answers = (("label", self.label), ("score", self.score), ("value", self.value))
        parts = {name: f"prediction.{part}" for part, name in answers if name is not None}
        if self.value is not None and len(parts) == 1:
            parts = {self.value: "prediction"}
        parts |= {name: part for part, name in (("outcome", self.outcome), ("id", self.id)) if name is not None}
        parts |= {name: f"sensitive.{name}" for name in self.sensitive}
        return TableColumns(parts, named=False, features=True, left_out=self.left_out, texts=self.categories | texts)


@dataclass(slots=True)
class Sample:
    """One side: ``files`` of native events, and the models in them; ``references`` where they are what it is."""

    files: list[Path] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    references: dict[str, Profile] = field(default_factory=dict)


def against(path: Path, roles: Roles, model: str | None, scratch: Path) -> Sample:
    """What a candidate is held against: references that stand in files, or a sample that they are made of.

    Raises
    ------
    ProfileError, IngestError, UsageError
        It cannot be read; the message names the file.
    """
    files = _files(path, (*KINDS, REFERENCE))
    if all(file.name.endswith(REFERENCE) for file in files):
        loaded = [profile.load(file)[0] for file in files]
        return Sample(models=[each.model for each in loaded], references={each.model: each for each in loaded})
    if not any(_is_flat(file) for file in files):
        sample = _events(files, scratch, model)
        folder = scratch / "events"
        built = {
            name: training.build(_one(sample.files, folder), name, "", training.Columns(), _silent).profile
            for name in sample.models
        }
        return replace(sample, references=built)
    if len(files) > 1:
        raise UsageError(f"gate: {path}: a table that is not of events stands alone")
    name = model or _CANDIDATE
    made = training.build(files[0], name, "", roles.training(), _silent).profile
    return replace(_flat(files[0], roles, made, name, scratch, "before"), references={name: made})


def candidate(path: Path, roles: Roles, model: str | None, known: Sample, scratch: Path) -> Sample:
    """The sample that is to be judged; raises as :func:`against`."""
    files = _files(path, KINDS)
    if not any(_is_flat(file) for file in files):
        return _events(files, scratch, model)
    if len(files) > 1:
        raise UsageError(f"gate: {path}: a table that is not of events stands alone")
    name = model or (known.models[0] if len(known.models) == 1 else _CANDIDATE)
    fitting = known.references.get(name)
    if fitting is None:
        raise UsageError(f"gate: {path}: is of no model that the other side has; --model names it")
    return _flat(files[0], roles, fitting, name, scratch, "now")


def _files(path: Path, kinds: tuple[str, ...]) -> list[Path]:
    found = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    fitting = [each for each in found if each.name.endswith(kinds)]
    if not path.exists():
        raise UsageError(f"gate: {path}: no such file or directory")
    if not fitting:
        raise UsageError(f"gate: {path}: holds nothing that can be read: {', '.join(kinds)}")
    return fitting


def _is_flat(file: Path) -> bool:
    """Whether a file is a table of cases and not of events: it has no column ``model``."""
    return not file.name.endswith((*_LINES, REFERENCE)) and "model" not in table_columns(file)


def _events(files: list[Path], scratch: Path, model: str | None) -> Sample:
    """Files of native events, those in columns written as lines; and of which models they are."""
    lines: list[Path] = []
    for number, file in enumerate(files):
        if file.name.endswith(_LINES):
            lines.append(file)
            continue
        target = scratch / f"{number}-{file.name}.jsonl"
        _write(target, table_events(file, TableColumns({})))
        lines.append(target)
    names = sorted({name for file in lines for name in _models_in(file)})
    if model is not None and model not in names:
        raise UsageError(f"gate: {model}: no event is of this model, only of {', '.join(names[:5])}")
    return Sample(lines, [model] if model is not None else names)


def _models_in(file: Path) -> Iterator[str]:
    for block in LineFile(str(file), 0, 1 << 20).blocks():
        for value in block.values:
            try:
                name = _named(value).model
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # a dead letter, which the replay counts
            if name:
                yield name


def _flat(file: Path, roles: Roles, known: Profile, name: str, scratch: Path, side: str) -> Sample:
    """A table of cases as native events of the model ``name``."""
    texts = frozenset(each.name for each in known.series if each.space == "feature" and each.kind == "category")
    target, row = scratch / f"{side}.jsonl", 0
    columns = roles.table(texts)
    common = f'"model":{msgspec.json.encode(name).decode()},"time":{_ROWS_TIME}'.encode()

    def whole() -> Iterator[list[bytes]]:
        nonlocal row
        for block in table_events(file, columns):
            # Rows without an id are no case of the other side, whatever their place.
            yield [
                b"{" + common + (b"" if roles.id else f',"id":"{side}-{row + i}"'.encode()) + b"," + event[1:]
                for i, event in enumerate(block)
                if event != b"{}"
            ]
            row += len(block)

    _write(target, whole())
    return Sample([target], [name])


def _write(target: Path, blocks: Iterator[list[bytes]]) -> None:
    with target.open("wb") as out:
        for block in blocks:
            out.writelines(event + b"\n" for event in block)


def _one(files: list[Path], folder: Path) -> Path:
    """One path for all ``files``: a folder of links where there are several."""
    if len(files) == 1:
        return files[0]
    if not folder.exists():
        folder.mkdir()
        for number, file in enumerate(files):
            (folder / f"{number}-{file.name}").symlink_to(file.resolve())
    return folder


def _silent(_done: int, _total: int) -> None:
    """What is read twice is not worth a second bar."""
