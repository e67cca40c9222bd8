"""Whose a place is: ours, root's or somebody else's, also behind links."""

from pathlib import Path

from baseline_metrics.ownership import not_ours
from tests.support.foreign import STRANGER, give_away


def test_what_is_ours_and_what_is_not_there_may_be_written(tmp_path: Path) -> None:
    """A directory, a link of ours to it, a link of ours that dangles, and a name that nothing has."""
    (tmp_path / "link").symlink_to("real")
    assert not_ours(str(tmp_path / "link")) == ""
    (tmp_path / "real").mkdir()
    for name in ("real", "link", "none", "none/below"):
        assert not_ours(str(tmp_path / name)) == ""


def test_the_directory_of_another_user_is_refused_also_behind_a_link(tmp_path: Path) -> None:
    """With its path and its owner."""
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / "link").symlink_to(place)
    give_away(place)
    for name in ("place", "link"):
        assert not_ours(str(tmp_path / name)) == f"{place} belongs to user {STRANGER}, who could let it lead anywhere"


def test_the_link_of_another_user_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    """Directly, and as the second of two."""
    (tmp_path / "place").mkdir()
    (tmp_path / "theirs").symlink_to("place")
    (tmp_path / "ours").symlink_to("theirs")
    give_away(tmp_path / "theirs")
    for name in ("theirs", "ours"):
        assert f"{tmp_path}/theirs is a link that belongs to user {STRANGER}" in not_ours(str(tmp_path / name))


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """They lead nowhere, and that is said."""
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert "in a circle" in not_ours(str(tmp_path / "one"))
