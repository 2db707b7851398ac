"""TOML tables into dataclasses, strictly: what people edit is checked where it is read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, TypeVar, get_type_hints

from corpora.errors import ConfigError

Config = TypeVar("Config")


def build(cls: type[Config], table: dict[str, Any], where: str) -> Config:
    """The dataclass `cls` from a TOML table: lists become tuples, integers pass for floats.

    Raises ConfigError, naming `where`, for a key that `cls` has not, one that it needs, or a value of another type.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}
    if unknown := sorted(table.keys() - fields.keys()):
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; there are {', '.join(fields)}")
    needed = {n for n, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING}
    if missing := sorted(needed - table.keys()):
        raise ConfigError(f"{where}: {missing[0]!r} is missing")
    hints = get_type_hints(cls)
    values = {name: _as(hints[name], value, f"{where}: {name}") for name, value in table.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _as(hint: Any, value: Any, where: str) -> Any:
    if isinstance(value, list):
        value = tuple(value)
    if hint in (float, float | None) and type(value) is int:
        value = float(value)
    plain = {str: str, int: int, bool: bool, float: float, str | None: str, float | None: float}.get(hint)
    if plain and type(value) is not plain:
        raise ConfigError(f"{where} must be {_NAMES[plain]}, not {value!r}")
    return value


_NAMES = {str: "a string", int: "an integer", bool: "true or false", float: "a number"}


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain).encode()


def digest(value: Any) -> str:
    """sha256 of the canonical JSON of a value, dataclasses and tuples included, as 64 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no canonical JSON")
