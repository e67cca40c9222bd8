"""The stress levels are those that people know."""

import pytest

from stress_scenarios.catalogue import LEVELS, CatalogueError, stress_level


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("low", (1, 95, 2)),
        ("moderate", (2, 90, 3)),
        ("high", (4, 85, 5)),
        ("extreme", (8, 80, 8)),
        ("sustained", (4, 85, 5)),
    ],
)
def test_each_level_has_its_pace_and_criteria(name: str, figures: tuple[float, float, float]) -> None:
    """Operations per second and connection, success percent, mean response seconds."""
    level = stress_level(name)
    assert (level.operations_per_s, level.success_percent_min, level.response_s_mean_max) == figures
    assert level.name == name


def test_an_unknown_level_is_refused_with_the_known_ones() -> None:
    """The message says what could have been meant."""
    with pytest.raises(CatalogueError, match='"mild"; write one of low, moderate, high, extreme, sustained'):
        stress_level("mild")


def test_the_catalogue_has_five_levels() -> None:
    """Nothing else is built in."""
    assert list(LEVELS) == ["low", "moderate", "high", "extreme", "sustained"]
