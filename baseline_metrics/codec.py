"""Frozen dataclasses to JSON and back, strictly: what the table of types does not know is refused.

One codec serves the pipes between our processes, the journal and the files of a run. Each dataclass carries its class
name under ``type``; enums travel by value; tuples as lists. Decoding checks every key and every type, so a message of
another version is an error at the door and never a surprise later; only a field with a default may be missing, which is
how records of older versions are read. Every process uses this module (standard library only).
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin

T = TypeVar("T")

MESSAGE_BYTES_MAX = 1 << 20
"""One line on a pipe. A second's histogram deltas of 64 operations take about 60 KiB; 1 MiB leaves room, and bounds a reader."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class CodecError(ValueError):
    """A line that is not a message of this version."""


def to_json_value(value: object) -> Json:
    """Turn records, enums, tuples and scalars into plain JSON values. Raises CodecError for anything else, NaN included."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Enum):
        return to_json_value(value.value)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise CodecError(f"{value} is not a finite number")
        return value
    if isinstance(value, tuple | list):
        return [to_json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        body: dict[str, Json] = {"type": type(value).__name__}
        for name in _field_types(type(value)):
            body[name] = to_json_value(getattr(value, name))
        return body
    raise CodecError(f"a {type(value).__name__} cannot be sent")


def from_json_value(expected: type[T], value: Json) -> T:
    """Build a record of the expected type. Raises CodecError that names the path of what does not fit."""
    built: T = _decode(expected, value, expected.__name__)
    return built


class Codec:
    """One direction of one pipe: a closed set of message types, a version, a size limit."""

    def __init__(self, *message_types: type, version: int, bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._types = {message_type.__name__: message_type for message_type in message_types}
        assert len(self._types) == len(message_types), "two message types share a name"
        self._version = version
        self._bytes_max = bytes_max

    def encode(self, message: object) -> bytes:
        """One JSON line, newline included. Raises CodecError for a foreign type or an oversized message."""
        if type(message).__name__ not in self._types:
            raise CodecError(f"{type(message).__name__} is not a message of this pipe")
        line = json.dumps({"v": self._version, "m": to_json_value(message)}, separators=(",", ":")).encode() + b"\n"
        if len(line) > self._bytes_max:
            raise CodecError(f"{type(message).__name__} takes {len(line)} bytes, the limit is {self._bytes_max}")
        return line

    def decode(self, line: bytes) -> Any:
        """One message. Raises CodecError for a foreign version, an unknown type, a missing, extra or mistyped field."""
        if len(line) > self._bytes_max:
            raise CodecError(f"a line of {len(line)} bytes, the limit is {self._bytes_max}")
        try:
            envelope = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CodecError(f"not JSON: {error}") from error
        if not isinstance(envelope, dict) or set(envelope) != {"v", "m"}:
            raise CodecError("not an envelope of version and message")
        if envelope["v"] != self._version:
            raise CodecError(f"version {envelope['v']}, this is version {self._version}")
        body = envelope["m"]
        name = body.get("type") if isinstance(body, dict) else body
        if not isinstance(body, dict) or not isinstance(name, str) or name not in self._types:
            raise CodecError(f"unknown message type {name!r}")
        return _decode(self._types[name], body, name)


@cache
def _field_types(record: type) -> Mapping[str, Any]:
    hints = typing.get_type_hints(record)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}


def _decode(expected: Any, value: Any, path: str) -> Any:
    origin = get_origin(expected)
    if origin in (Union, types.UnionType):
        return _decode_union(get_args(expected), value, path)
    if origin is tuple:
        return _decode_tuple(get_args(expected), value, path)
    if origin is dict:
        if not isinstance(value, dict):
            raise CodecError(f"{path}: expected an object")
        _, item_type = get_args(expected)
        return {key: _decode(item_type, item, f"{path}.{key}") for key, item in value.items()}
    if expected is None or expected is type(None):
        if value is not None:
            raise CodecError(f"{path}: expected null")
        return None
    if dataclasses.is_dataclass(expected) and isinstance(expected, type):
        return _decode_record(expected, value, path)
    if isinstance(expected, type) and issubclass(expected, Enum):
        try:
            return expected(value)
        except ValueError as error:
            raise CodecError(f"{path}: {error}") from error
    return _decode_scalar(expected, value, path)


def _decode_scalar(expected: Any, value: Any, path: str) -> Any:
    if expected is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError as error:  # a whole number beyond the floats
            raise CodecError(f"{path}: not a finite number") from error
        if not math.isfinite(number):
            raise CodecError(f"{path}: not a finite number")
        return number
    if expected in (int, str, bool) and type(value) is expected:
        return value
    raise CodecError(f"{path}: expected {getattr(expected, '__name__', expected)}, got {type(value).__name__}")


def _decode_union(options: tuple[Any, ...], value: Any, path: str) -> Any:
    if isinstance(value, dict) and "type" in value:
        for option in options:
            if isinstance(option, type) and option.__name__ == value["type"]:
                return _decode(option, value, path)
        raise CodecError(f"{path}: unknown type {value['type']!r}")
    for option in options:
        if dataclasses.is_dataclass(option):
            continue
        try:
            return _decode(option, value, path)
        except CodecError:
            continue
    raise CodecError(f"{path}: {type(value).__name__} fits none of its types")


def _decode_tuple(items: tuple[Any, ...], value: Any, path: str) -> Any:
    if not isinstance(value, list):
        raise CodecError(f"{path}: expected a list")
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(_decode(items[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    if len(items) != len(value):
        raise CodecError(f"{path}: expected {len(items)} items, got {len(value)}")
    return tuple(
        _decode(kind, item, f"{path}[{index}]") for index, (kind, item) in enumerate(zip(items, value, strict=True))
    )


def _decode_record(expected: type, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise CodecError(f"{path}: expected an object")
    if value.get("type") != expected.__name__:
        raise CodecError(f"{path}: expected a {expected.__name__}, got {value.get('type')!r}")
    fields = _field_types(expected)
    unknown = set(value) - set(fields) - {"type"}
    missing = set(fields) - set(value) - _fields_with_default(expected)
    if unknown or missing:
        raise CodecError(f"{path}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    return expected(
        **{name: _decode(kind, value[name], f"{path}.{name}") for name, kind in fields.items() if name in value}
    )


@cache
def _fields_with_default(record: type) -> frozenset[str]:
    """Fields that an older version did not have: they may be missing, and then have their default."""
    return frozenset(field.name for field in dataclasses.fields(record) if field.default is not dataclasses.MISSING)
