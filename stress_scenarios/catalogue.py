"""The stress levels by name: how fast a connection works, and what counts as passing at that level.

They are the levels that people know from the original system; a plan may add its own. Pure; the planner reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class CatalogueError(LookupError):
    """No stress level of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StressLevel:
    """A pace with its criteria.

    operations_per_s: intended, of one connection. success_percent_min: share of operations that must succeed.
    response_s_mean_max: mean response time of the successes, seconds, at most.
    """

    name: str
    operations_per_s: float
    success_percent_min: float
    response_s_mean_max: float


_LEVELS = (
    StressLevel(name="low", operations_per_s=1.0, success_percent_min=95.0, response_s_mean_max=2.0),
    StressLevel(name="moderate", operations_per_s=2.0, success_percent_min=90.0, response_s_mean_max=3.0),
    StressLevel(name="high", operations_per_s=4.0, success_percent_min=85.0, response_s_mean_max=5.0),
    StressLevel(name="extreme", operations_per_s=8.0, success_percent_min=80.0, response_s_mean_max=8.0),
    StressLevel(name="sustained", operations_per_s=4.0, success_percent_min=85.0, response_s_mean_max=5.0),
)

LEVELS: Mapping[str, StressLevel] = MappingProxyType({level.name: level for level in _LEVELS})
"""All levels of the catalogue, by name, from light to heavy."""


def stress_level(name: str) -> StressLevel:
    """One level of the catalogue. Raises CatalogueError that names the known ones."""
    try:
        return LEVELS[name]
    except KeyError:
        raise CatalogueError(f'no stress level is named "{name}"; write one of {", ".join(LEVELS)}') from None
