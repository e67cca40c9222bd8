"""Feeders: files are read as they are meant, or refused with the line; rows are handed out in their order."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from stress_scenarios import feeder
from stress_scenarios.feeder import FeederError, read_feeder, sha256_of_feeder
from stress_scenarios.feeder_turns import Dry, FeederTurns
from stress_scenarios.load_plan import FeederFormat, FeederOrder, FeederSpec
from tests.stress_scenarios.scripted_rig import a_feeder, a_scripted_order, operation


class SomeRows:
    """Rows that are only numbers."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def row(self, number: int) -> Mapping[str, str]:
        """A row."""
        return {"n": str(number)}


# Reading ------------------------------------------------------------------------------------------------------------


def rows_of(spec: FeederSpec) -> list[dict[str, str]]:
    """All rows."""
    rows = read_feeder(spec)
    return [dict(rows.row(number)) for number in range(len(rows))]


def test_csv_is_read_with_quotes_line_breaks_and_empty_lines(tmp_path: Path) -> None:
    """A row is what CSV says it is, not a line; a mark before UTF-8 and spaces around names are no part of them."""
    content = '\ufeff name ,text\r\nann,plain\r\n\r\n"b,o","two\nlines ""x"""\nä,\n'
    expected = [
        {"name": "ann", "text": "plain"},
        {"name": "b,o", "text": 'two\nlines "x"'},
        {"name": "ä", "text": ""},
    ]
    assert rows_of(a_feeder(tmp_path / "a.csv", content)) == expected


def test_json_lines_are_read_with_texts_as_they_are(tmp_path: Path) -> None:
    """Anything but a text becomes its JSON."""
    content = '{"name": "ann", "n": 1}\n\n{"n": {"x": [true, null]}, "name": "ä"}\n'
    spec = a_feeder(tmp_path / "a.jsonl", content, kind=FeederFormat.JSON_LINES)
    assert rows_of(spec) == [{"name": "ann", "n": "1"}, {"name": "ä", "n": '{"x":[true,null]}'}]
    assert read_feeder(spec).columns == ("name", "n")


@pytest.mark.parametrize(
    ("kind", "content", "complaint"),
    [
        (FeederFormat.CSV, b"", "header line"),
        (FeederFormat.CSV, b"a,b\n", "no rows"),
        (FeederFormat.CSV, b"a,a\n1,2\n", "name of its own"),
        (FeederFormat.CSV, b"a,\n1,2\n", "name of its own"),
        (FeederFormat.CSV, b"a,b\n1,2\n3\n", r"csv:3: 1 values for 2 columns"),
        (FeederFormat.CSV, b"a,b\n1,2\n3,4,5\n", r"csv:3: 3 values for 2 columns"),
        (FeederFormat.CSV, b'a,b\n1,"2\n3,4\n', "not CSV"),
        (FeederFormat.CSV, b'a,b\n1,"2"x\n', r"csv:2: not CSV"),
        (FeederFormat.CSV, b"a\n\xff\n", r"csv:2: not UTF-8"),
        (FeederFormat.JSON_LINES, b"", "no rows"),
        (FeederFormat.JSON_LINES, b'{"a": 1}\n[1]\n', r"csv:2: a row is an object"),
        (FeederFormat.JSON_LINES, b'{"a": 1}\n{"a"\n', r"csv:2: not JSON"),
        (FeederFormat.JSON_LINES, b'{"a": 1}\n{"b": 1}\n', r"csv:2: its members are not a"),
        (FeederFormat.JSON_LINES, b"{}\n", "name of its own"),
        (FeederFormat.JSON_LINES, b"[" * 100_000, r"csv:1: not JSON"),
        (FeederFormat.JSON_LINES, b'{"a": "\xff"}\n', r"csv:1: not UTF-8"),
    ],
)
def test_a_file_that_is_no_feeder_is_refused_with_its_line(
    tmp_path: Path, kind: FeederFormat, content: bytes, complaint: str
) -> None:
    """Before the load, not in its middle."""
    with pytest.raises(FeederError, match=complaint):
        read_feeder(a_feeder(tmp_path / "users.csv", content, kind=kind))


def test_another_file_than_the_plan_saw_is_refused(tmp_path: Path) -> None:
    """Changed, or gone."""
    spec = a_feeder(tmp_path / "users.csv", "a\n1\n")
    assert sha256_of_feeder(spec.path) == spec.sha256
    Path(spec.path).write_text("a\n2\n")
    with pytest.raises(FeederError, match=r"users\.csv was changed since the plan was made"):
        read_feeder(spec)
    Path(spec.path).unlink()
    with pytest.raises(FeederError, match="cannot be read"):
        read_feeder(spec)


@pytest.mark.parametrize(("rows", "fits"), [(2, True), (3, True), (4, False)])
def test_rows_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, *, fits: bool) -> None:
    """Below and at it the file is read, above it is refused with the line."""
    monkeypatch.setattr(feeder, "FEEDER_ROWS_MAX", 3)
    spec = a_feeder(tmp_path / "users.csv", "a\n" + "x\n" * rows)
    if fits:
        assert len(read_feeder(spec)) == rows
    else:
        with pytest.raises(FeederError, match=r"users\.csv:5: more than 3 rows"):
            read_feeder(spec)


@pytest.mark.parametrize(("size", "fits"), [(9, True), (10, True), (11, False)])
def test_bytes_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, *, fits: bool) -> None:
    """Below and at it the file is read, above it is refused."""
    monkeypatch.setattr(feeder, "FEEDER_BYTES_MAX", 10)
    spec = a_feeder(tmp_path / "users.csv", "a\n" + "x" * (size - 2))
    if fits:
        assert len(read_feeder(spec)) == 1
    else:
        with pytest.raises(FeederError, match="11 bytes"):
            read_feeder(spec)


# Turns --------------------------------------------------------------------------------------------------------------


def turns(
    order: FeederOrder, rows: int, *, connections: int = 1, offset: int = 0, total: int = 0, seed: int = 0
) -> FeederTurns:
    """A feeder's turns in one worker."""
    spec = FeederSpec(name="users", path="", sha256="", format=FeederFormat.CSV, order=order)
    load = a_scripted_order(
        operation("a"), connections=connections, connection_offset=offset, connections_total=total, seed=seed
    )
    return FeederTurns(spec, load, SomeRows(rows))


def taken(feeder_turns: FeederTurns, count: int) -> list[int | str]:
    """The next rows' numbers; a dry one's message."""
    found: list[int | str] = []
    for _ in range(count):
        row = feeder_turns.next()
        found.append(row.message if isinstance(row, Dry) else int(row["n"]))
    return found


def test_sequential_rows_begin_again() -> None:
    """After the last one comes the first."""
    assert taken(turns(FeederOrder.SEQUENTIAL, 3), 7) == [0, 1, 2, 0, 1, 2, 0]


def test_two_workers_share_the_sequence() -> None:
    """Each has the rows of its connections."""
    assert taken(turns(FeederOrder.SEQUENTIAL, 100, connections=2, total=3), 5) == [0, 1, 3, 4, 6]
    assert taken(turns(FeederOrder.SEQUENTIAL, 100, connections=1, offset=2, total=3), 3) == [2, 5, 8]


def test_random_rows_are_seeded_and_cover_all() -> None:
    """The same seed gives the same rows; another worker gets others."""
    one = taken(turns(FeederOrder.RANDOM, 10, seed=7), 200)
    assert one == taken(turns(FeederOrder.RANDOM, 10, seed=7), 200)
    assert set(one) == set(range(10))
    assert one != taken(turns(FeederOrder.RANDOM, 10, seed=8), 200)
    assert one != taken(turns(FeederOrder.RANDOM, 10, seed=7, offset=1), 200)


def test_a_unique_feeder_gives_each_row_once_and_is_dry_then() -> None:
    """And it says after how many rows."""
    dry = "feeder users is dry after 3 rows"
    assert taken(turns(FeederOrder.UNIQUE, 3), 5) == [0, 1, 2, dry, dry]


def test_unique_rows_are_unique_over_any_workers() -> None:
    """However connections are divided: together the workers give every row exactly once."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(50):
        sizes = [chance.randint(1, 5) for _ in range(chance.randint(1, 4))]
        rows = chance.randint(1, 60)
        given: list[int | str] = []
        for worker, size in enumerate(sizes):
            share = turns(FeederOrder.UNIQUE, rows, connections=size, offset=sum(sizes[:worker]), total=sum(sizes))
            given += [row for row in taken(share, rows + 1) if isinstance(row, int)]
        assert sorted(given, key=int) == list(range(rows))
