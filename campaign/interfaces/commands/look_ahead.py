"""Commands that tell beforehand: check (may it start?), plan (what would happen?). They change nothing.

Each runs in a process of its own and sends at most one probe to the target.
"""

import shutil
from typing import Any, assert_never

import click

from baseline_metrics.codec import Json, to_json_value
from baseline_metrics.target_policy import PinnedTarget, TargetRefused
from campaign.check_rows import may_start, to_json
from campaign.interfaces import preparation
from campaign.interfaces.checks import check_rows, table_of
from campaign.interfaces.demo import Demo, demo_for, end_demo
from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.options import ignored_run_options, night_options
from campaign.interfaces.output import emit, manner, say, shared_options, tell
from campaign.interfaces.preparation import NightRequest, NoTargetGiven
from campaign.plan_file import LoadedPlan
from campaign.plan_text import resolved_yaml
from campaign.planned_night import PlanRefused
from campaign.preflight import NoPlan, NoTarget, PlannedCampaign
from campaign.timeline_text import timeline_text

NO_PLAN_REASON = "there is no plan: no PLAN.yaml was named, no ./campaign.yaml is here, and no --target"
NO_PLAN_REMEDY = "`init` writes a plan to edit; --target URL takes the default plan; --demo loads the bundled service"


@click.command()
@night_options
@ignored_run_options
@shared_options
def check(**night: Any) -> int:
    """Preflight: look whether a campaign may start, and say for each obstacle what removes it.

    Sends one probe to the target, creates and changes nothing. Exit code 0 when it may start, 6 when not; without a
    target the host's checks are shown, and 6 for what is missing.
    """
    request = preparation.night_request(**night)
    loaded = preparation.load(request)
    if isinstance(loaded, LoadedPlan):
        tell(preparation.source_text(request))
    demo = demo_for(request)  # for the time of the check only: what is probed is real
    try:
        if isinstance(loaded, LoadedPlan) and isinstance(demo, Demo):
            loaded = preparation.load(request, demo_url=demo.url)
        campaign, target = _looked_at(request, loaded)
        rows = check_rows(request, campaign, target)
    finally:
        end_demo(demo)
    if manner().json:
        emit(to_json(rows))
    else:
        say(table_of(rows))
    if isinstance(campaign, PlannedCampaign) and isinstance(campaign.night, PlanRefused):
        return Exit.USAGE
    return Exit.DONE if may_start(rows) else Exit.REFUSED


def _looked_at(
    request: NightRequest, loaded: LoadedPlan | NoTargetGiven
) -> tuple[PlannedCampaign | NoPlan, PinnedTarget | TargetRefused | NoTarget]:
    match loaded:
        case LoadedPlan(plan=found):
            night = preparation.fit(loaded, request)
            return PlannedCampaign(plan=found, night=night), preparation.look_up(found)
        case NoTargetGiven():
            return NoPlan(reason=NO_PLAN_REASON, remedy=NO_PLAN_REMEDY), NoTarget()
    assert_never(loaded)


@click.command()
@night_options
@click.option("--origin", is_flag=True, help="The resolved plan instead, with the origin of each value.")
@shared_options
def plan(*, origin: bool, **night: Any) -> int:
    """Show what would happen if it started now: the timeline, what was scaled or cut and why, which gates can be judged.

    Sends nothing and changes nothing.
    """
    request = preparation.night_request(**night)
    loaded = preparation.required(preparation.load(request))
    tell(preparation.source_text(request))
    if origin:
        say(resolved_yaml(loaded.plan, loaded.origins))
        return Exit.DONE
    planned = preparation.fitted(loaded, request)
    if manner().json:
        segments: Json = to_json_value(planned.segments)
        emit(
            {
                "order": to_json_value(planned.order),
                "segments": segments,
                "notes": to_json_value(planned.notes),
                "forecasts": to_json_value(planned.forecasts),
                "workers": planned.workers,
            }
        )
    else:
        say(timeline_text(planned, width=shutil.get_terminal_size().columns))
    return Exit.DONE
