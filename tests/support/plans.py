"""Plans for tests: short to write, complete when read."""

from pathlib import Path

from campaign.defaults import HostSize
from campaign.plan import Plan
from campaign.plan_file import LoadedPlan, PlanSources, resolve_plan, resolve_plan_text

MIDDLE_HOST = HostSize(cpu_count=4, memory_bytes=12 << 30)
"""Neither small nor large: 8 h, 3 failures."""

TARGET = "target: {url: http://127.0.0.1:8080}\n"


def loaded(
    text: str = TARGET,
    *,
    flags: dict[str, str] | None = None,
    environ: dict[str, str] | None = None,
    zone: str = "Europe/Berlin",
    host: HostSize = MIDDLE_HOST,
) -> LoadedPlan:
    """A plan from its text, with origins."""
    sources = PlanSources(flags=flags or {}, environ=environ or {})
    return resolve_plan_text(text, name="plan.yaml", sources=sources, host=host, zone=zone)


def plan(text: str = TARGET, *, zone: str = "Europe/Berlin") -> Plan:
    """A plan from its text."""
    return loaded(text, zone=zone).plan


def from_file(path: Path, *, zone: str = "Europe/Berlin") -> Plan:
    """A plan from its file."""
    return resolve_plan(PlanSources(file=path), host=MIDDLE_HOST, zone=zone).plan
