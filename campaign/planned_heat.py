"""Whether the plan's limit on temperature can be reached on this host at all: the arithmetic against it.

A limit above what every sensor itself calls critical protects nothing: the kernel switches the machine off first. Pure; the
planner uses it.
"""

from baseline_metrics.samples import Gap, GapReason, Reading
from campaign.plan import Plan
from safety_monitoring.limits import TEMPERATURE_CRITICAL_PERCENT

HEAT_NOT_LOOKED_AT = Gap(reason=GapReason.FIRST_READING, detail="nobody has looked at this host's sensors")


def heat_reasons(plan: Plan, *, critical_celsius_max: Reading) -> tuple[str, ...]:
    """At most one reason. critical_celsius_max: the highest that a sensor here calls critical; a gap where one names none."""
    limit = plan.safety.temperature_celsius
    if isinstance(critical_celsius_max, Gap) or limit <= critical_celsius_max.value:
        return ()
    critical = critical_celsius_max.value
    most = critical * TEMPERATURE_CRITICAL_PERCENT / 100.0
    text = (
        f"safety.temperature: {limit:g} degrees Celsius would never be reached: the highest temperature that a sensor of this "
        f"host calls critical is {critical:g}, where it switches itself off; write at most {most:.0f} "
        f"({TEMPERATURE_CRITICAL_PERCENT:g} % of it)"
    )
    return (text,)
