"""Plans of seconds for tests that run whole campaigns: short to write, and every key that matters is seen in the test."""


def phase(
    name: str = "hold",
    *,
    seconds: float = 30.0,
    connections: int = 2,
    operations: int = 10,
    threshold_multiplier: float = 1.0,
    memory: str = "",
) -> str:
    """One phase of a plan. The default is longer than any test waits: it is there to be stopped. memory: as in a plan."""
    held = f", memory: {memory}" if memory else ""
    return (
        f"{{name: {name}, duration: {seconds:g}s, duration_min: {seconds:g}s, connections: {connections}, "
        f"operations: {operations}, level: brisk, required_health: 0, threshold_multiplier: {threshold_multiplier}{held}}}"
    )


def operation(name: str, path: str, *, weight: float = 1, more: str = "") -> str:
    """One operation of a mix. more: further keys, such as ``method: POST``."""
    return f"{{name: {name}, path: {path}, weight: {weight:g}{', ' + more if more else ''}}}"


ONE_PAGE = (operation("page", "/"),)


def night_plan(
    url: str,
    *,
    phases: tuple[str, ...] = (phase(),),
    scenario: tuple[str, ...] = ONE_PAGE,
    pace: float = 20.0,
    success: float = 95.0,
    response: str = "2s",
    anchor_s: float = 1.0,
    idle_s: float = 1.0,
    rest: str = "none",
    cooldown: str = "none",
    ramp_percent: float = 0.5,
    workers: int = 1,
    engine: str = "httpx",
    memory_percent: float = 80.0,
    memory_reserve: str = "512MiB",
) -> str:
    """A plan of seconds on a machine that others share: the CPU may be busy, health skips no phase, drift is no question."""
    return "\n".join(
        [
            "name: night",
            f"engine: {engine}",
            f'target: {{url: "{url}"}}',
            "window: {hours: 1, timezone: UTC}",
            f"levels: {{brisk: {{pace: {pace:g}, success: {success:g}, response: {response}}}}}",
            "scenario:",
            *(f"  - {line}" for line in scenario),
            "phases:",
            *(f"  - {line}" for line in phases),
            f"anchor: {{duration: {anchor_s:g}s}}",
            f"baseline: {{idle: {idle_s:g}s}}",
            f"break: {rest}",
            f"cooldown: {cooldown}",
            f"ramp: {{percent: {ramp_percent:g}}}",
            f"workers: {workers}",
            f"safety: {{cpu: 95, memory: {memory_percent:g}, memory_reserve: {memory_reserve}}}",
            "health: {minimum: 0}",
            "failures: {consecutive: 9}",
            "success: {drift: 1000}",
            "recording: {host_sample_period: 200ms}",
            "",
        ]
    )
