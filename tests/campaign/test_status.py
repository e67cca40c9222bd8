"""The status document: what was written is read again, and anything else is no status, with its reason."""

import json
from pathlib import Path

import pytest

from baseline_metrics.health import UnknownScore
from baseline_metrics.samples import Gap, GapReason
from campaign.status import Ended, NoStatus, read_status, write_status
from tests.support.status_documents import status_document


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"end": Ended(exit_code=4, cause="operator_stop", verdict="", why="SIGTERM", report="")},
        {"health": UnknownScore(reason="no reading"), "rate_per_s": Gap(reason=GapReason.ABSENT, detail="none")},
        {"phases": (), "events": (), "worker_pids": (), "phase": -1},
        {"name": "Nächtlicher Lauf"},
    ],
    ids=["running", "ended", "gaps", "empty", "letters"],
)
def test_a_document_is_read_as_it_was_written(tmp_path: Path, changes: dict[str, object]) -> None:
    """Every field travels, gaps and unknown scores included."""
    path = tmp_path / "status.json"
    status = status_document(**changes)
    write_status(path, status)
    assert read_status(path) == status


def test_a_document_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """The second one stands alone, and nothing lies beside it."""
    path = tmp_path / "status.json"
    write_status(path, status_document(name="first"))
    write_status(path, status_document(name="second"))
    assert [item.name for item in tmp_path.iterdir()] == ["status.json"]
    assert read_status(path) == status_document(name="second")


def test_a_missing_document_is_no_status(tmp_path: Path) -> None:
    """The reason says what that may mean."""
    found = read_status(tmp_path / "status.json")
    assert isinstance(found, NoStatus)
    assert "has not written a status yet, or it has ended" in found.reason


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"type": "Status"}',
        "null",
        "\x00\x01",
        json.dumps({"type": "Other", "version": 1}),
    ],
)
def test_garbage_is_no_status(tmp_path: Path, content: str) -> None:
    """A torn, foreign or older document is not half understood."""
    path = tmp_path / "status.json"
    path.write_text(content)
    found = read_status(path)
    assert isinstance(found, NoStatus)
    assert str(path) in found.reason


def test_bytes_that_are_no_text_are_no_status(tmp_path: Path) -> None:
    """Not even an error of decoding reaches the screen."""
    path = tmp_path / "status.json"
    path.write_bytes(b"\xff\xfe\x00")
    assert isinstance(read_status(path), NoStatus)


def test_a_directory_is_no_status(tmp_path: Path) -> None:
    """Whatever stands there."""
    assert isinstance(read_status(tmp_path), NoStatus)


def test_a_document_with_a_field_more_or_less_is_no_status(tmp_path: Path) -> None:
    """Another version is refused as a whole."""
    path = tmp_path / "status.json"
    write_status(path, status_document())
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "more": 1}))
    assert isinstance(read_status(path), NoStatus)
    del body["state"]
    path.write_text(json.dumps(body))
    assert isinstance(read_status(path), NoStatus)


def test_a_place_that_cannot_be_written_raises(tmp_path: Path) -> None:
    """The caller counts it; nothing is swallowed here."""
    with pytest.raises(OSError):
        write_status(tmp_path / "missing" / "status.json", status_document())
