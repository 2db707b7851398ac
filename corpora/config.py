"""TOML tables into dataclasses, strictly: what people edit is checked where it is read."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import tomllib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from corpora.errors import ConfigError

Config = TypeVar("Config")


def read(path: Path) -> dict[str, Any]:
    """The table of a TOML file. Raises ConfigError, naming the file and the line, for one that is no TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def locate(kind: str, name: str, folders: Sequence[Path]) -> Path:
    """The file `NAME.toml` in the first folder that has one: the user's own come before the built-in ones.

    Raises ConfigError for an unknown name, with the nearest ones.
    """
    known = names(folders)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2) or known
        raise ConfigError(f"no {kind} {name!r}; did you mean {' or '.join(near)}?")
    return next(path for folder in folders if (path := folder / f"{name}.toml").is_file())


def names(folders: Sequence[Path]) -> list[str]:
    """Names of all TOML files in some folders; hidden ones are editors' own."""
    found = (path for folder in folders for path in folder.glob("*.toml"))
    return sorted({path.stem for path in found if path.is_file() and not path.name.startswith(".")})


def take_tables(table: dict[str, Any], name: str, where: str) -> list[Any]:
    """The tables `[[name]]`, taken out of the table that they are in. Raises ConfigError for anything else there."""
    tables = table.pop(name, [])
    if not isinstance(tables, list):
        raise ConfigError(f"{where}: {name!r} must be a list of tables: write [[{name}]]")
    return tables


def build(cls: type[Config], table: dict[str, Any], where: str) -> Config:
    """The dataclass `cls` from a TOML table: lists become tuples, integers pass for floats.

    Raises ConfigError, naming `where`, for a key that `cls` has not, one that it needs, or a value of another type or
    one that `cls` refuses.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table, not {table!r}")
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
    except (ValueError, LookupError) as error:
        raise ConfigError(f"{where}: {error}") from None


def _as(hint: Any, value: Any, where: str) -> Any:
    if isinstance(value, list):
        value = tuple(value)
    if type(value) is int and float in (hint, *get_args(hint)):
        value = float(value)
    if not _fits(value, hint):
        raise ConfigError(f"{where} must be {_name(hint)}, not {value!r}")
    return value


_NAMES = {str: "a string", int: "an integer", bool: "true or false", float: "a finite number"}


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    if origin in (dict, Mapping):
        return isinstance(value, dict)
    return type(value) is hint and not (hint is float and not math.isfinite(value))


def _name(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_name(argument) for argument in arguments if argument is not types.NoneType)
    if origin is tuple:
        return f"a list, each item {_name(arguments[0])}"
    return _NAMES.get(hint, "a table")


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
