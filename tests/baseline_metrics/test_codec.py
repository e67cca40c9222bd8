"""Messages survive the wire unchanged, and nothing else gets through."""

import json
import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.codec import Codec, CodecError, from_json_value, to_json_value
from baseline_metrics.health import Health, HealthPart, KnownScore, UnknownScore
from baseline_metrics.samples import Gap, GapReason, HostSample, NamedReading, Sample


class Colour(Enum):
    """A closed set."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A record in a record."""

    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """One field of each kind that the codec knows."""

    flag: bool
    count: int
    ratio: float
    text: str
    colour: Colour
    point: Point
    points: tuple[Point, ...]
    pair: tuple[int, str]
    either: Point | Sample
    maybe: str | None
    by_name: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """The smallest message."""

    number: int


finite = st.floats(allow_nan=False, allow_infinity=False)
points = st.builds(Point, x=finite, y=finite)
everythings = st.builds(
    Everything,
    flag=st.booleans(),
    count=st.integers(),
    ratio=finite,
    text=st.text(),
    colour=st.sampled_from(Colour),
    point=points,
    points=st.lists(points, max_size=4).map(tuple),
    pair=st.tuples(st.integers(), st.text()),
    either=st.one_of(points, st.builds(Sample, value=finite)),
    maybe=st.one_of(st.none(), st.text()),
    by_name=st.dictionaries(st.text(), finite, max_size=4),
)
readings = st.one_of(
    st.builds(Sample, value=finite), st.builds(Gap, reason=st.sampled_from(GapReason), detail=st.text(max_size=30))
)
host_samples = st.builds(
    HostSample,
    at_mono_s=finite,
    at_utc_s=finite,
    readings=st.lists(st.builds(NamedReading, sensor=st.text(max_size=30), reading=readings), max_size=5).map(tuple),
)
scores = st.one_of(st.builds(KnownScore, value=finite), st.builds(UnknownScore, reason=st.text(max_size=30)))
healths = st.builds(
    Health,
    score=scores,
    parts=st.lists(
        st.builds(HealthPart, name=st.text(max_size=9), score=scores, weight=finite, detail=st.text(max_size=9)),
        max_size=4,
    ).map(tuple),
    at_mono_s=finite,
)

CODEC = Codec(Everything, Ping, HostSample, Health, version=3)
SAMPLE = Everything(
    flag=True,
    count=1,
    ratio=0.5,
    text="t",
    colour=Colour.RED,
    point=Point(x=1.0, y=2.0),
    points=(),
    pair=(1, "a"),
    either=Sample(value=1.0),
    maybe=None,
    by_name={"a": 1.0},
)


def envelope(body: object, *, version: object = 3) -> bytes:
    """A line as another process might have written it."""
    return json.dumps({"v": version, "m": body}).encode() + b"\n"


def changed(**fields: Any) -> bytes:
    """The line of SAMPLE with some fields replaced."""
    body = to_json_value(SAMPLE)
    assert isinstance(body, dict)
    return envelope({**body, **fields})


@given(st.one_of(everythings, host_samples, healths, st.builds(Ping, number=st.integers())))
def test_messages_survive_the_wire(message: object) -> None:
    """Decoding what was encoded gives an equal message of the same type, in one line."""
    line = CODEC.encode(message)
    again = CODEC.decode(line)

    assert again == message
    assert type(again) is type(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1


@given(st.binary(max_size=200))
def test_noise_is_refused_and_nothing_else_happens(line: bytes) -> None:
    """Any bytes that are not a message raise CodecError and no other error."""
    with pytest.raises(CodecError):
        CODEC.decode(line)


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_foreign_json_is_refused(body: object) -> None:
    """Valid JSON in a valid envelope that is no message of the table raises CodecError."""
    with pytest.raises(CodecError):
        CODEC.decode(envelope(body))


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"flag": 1}, "Everything.flag"),
        ({"flag": "true"}, "Everything.flag"),
        ({"count": True}, "Everything.count"),
        ({"count": 1.0}, "Everything.count"),
        ({"ratio": "0.5"}, "Everything.ratio"),
        ({"ratio": True}, "Everything.ratio"),
        ({"ratio": 10**400}, "Everything.ratio"),
        ({"text": None}, "Everything.text"),
        ({"colour": "green"}, "Everything.colour"),
        ({"point": {"type": "Point", "x": 1.0}}, "Everything.point"),
        ({"point": {"type": "Sample", "value": 1.0}}, "Everything.point"),
        ({"point": [1.0, 2.0]}, "Everything.point"),
        ({"points": {"0": 1}}, "Everything.points"),
        ({"points": [{"type": "Point", "x": 1.0, "y": "2"}]}, "Everything.points[0].y"),
        ({"pair": [1]}, "Everything.pair"),
        ({"pair": ["a", 1]}, "Everything.pair[0]"),
        ({"either": {"type": "Ping", "number": 1}}, "Everything.either"),
        ({"either": 1.0}, "Everything.either"),
        ({"maybe": 5}, "Everything.maybe"),
        ({"by_name": [1.0]}, "Everything.by_name"),
        ({"by_name": {"a": "1"}}, "Everything.by_name.a"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_field_that_does_not_fit_is_refused_by_its_path(fields: dict[str, Any], path: str) -> None:
    """A wrong type, an unknown value, an extra field: the error names the place."""
    with pytest.raises(CodecError) as caught:
        CODEC.decode(changed(**fields))
    assert path in str(caught.value)


@pytest.mark.parametrize("name", [None, 1, [], {}, "", "ping"])
def test_a_type_that_is_not_in_the_table_is_refused(name: object) -> None:
    """The name of a message's type is one of the table, exactly."""
    with pytest.raises(CodecError, match="unknown message type"):
        CODEC.decode(envelope({"type": name, "number": 1}))


def test_a_missing_field_is_refused() -> None:
    """No field has a default on the wire."""
    with pytest.raises(CodecError, match="missing \\['number'\\]"):
        CODEC.decode(envelope({"type": "Ping"}))


def test_whole_numbers_are_taken_for_floats() -> None:
    """JSON writers drop the .0; a float field gets a float back."""
    found = CODEC.decode(changed(ratio=2))

    assert found.ratio == 2.0
    assert isinstance(found.ratio, float)


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b'{"v":3}\n', b'{"v":3,"m":{},"x":1}\n', b"[1]\n", b"null\n"])
def test_lines_without_an_envelope_are_refused(line: bytes) -> None:
    """Version and message, nothing more and nothing less."""
    with pytest.raises(CodecError):
        CODEC.decode(line)


@pytest.mark.parametrize("version", [2, 4, "3", None])
def test_another_version_is_refused(version: object) -> None:
    """A process of another version is an error at the door."""
    with pytest.raises(CodecError, match="this is version 3"):
        CODEC.decode(envelope({"type": "Ping", "number": 1}, version=version))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(text: str) -> None:
    """Neither direction passes NaN or infinity."""
    line = changed(ratio=1234.5).replace(b"1234.5", text.encode())
    with pytest.raises(CodecError):
        CODEC.decode(line)
    with pytest.raises(CodecError):
        to_json_value(math.nan)
    with pytest.raises(CodecError):
        to_json_value(math.inf)


def test_foreign_messages_are_not_sent() -> None:
    """A record outside the pipe's table, or no record at all, is not encoded."""
    with pytest.raises(CodecError, match="Point is not a message of this pipe"):
        CODEC.encode(Point(x=1.0, y=2.0))
    with pytest.raises(CodecError, match="object cannot be sent"):
        to_json_value(object())


def test_the_size_limit_counts_in_both_directions() -> None:
    """A line of exactly the limit passes; one byte more does not."""
    line = CODEC.encode(Ping(number=1))
    exact = Codec(Ping, version=3, bytes_max=len(line))
    short = Codec(Ping, version=3, bytes_max=len(line) - 1)

    assert exact.decode(exact.encode(Ping(number=1))) == Ping(number=1)
    with pytest.raises(CodecError, match="the limit is"):
        short.encode(Ping(number=1))
    with pytest.raises(CodecError, match="the limit is"):
        short.decode(line)


def test_deeply_nested_noise_is_refused() -> None:
    """A line that exhausts the parser is refused like any other noise."""
    with pytest.raises(CodecError):
        CODEC.decode(b"[" * 100_000)


def test_two_messages_of_one_name_are_our_mistake() -> None:
    """A pipe's table is unambiguous from the start."""
    with pytest.raises(AssertionError, match="share a name"):
        Codec(Ping, Ping, version=1)


@given(host_samples)
def test_records_survive_as_plain_json_values(sample: HostSample) -> None:
    """The same holds without an envelope, as the journal and the files use it."""
    assert from_json_value(HostSample, json.loads(json.dumps(to_json_value(sample)))) == sample
