"""Everything that one night's supervisor owns beside its loop: record, board, sensors, crew, books, reporter.

Put together once, from the order and the run directory. The supervisor's main thread uses them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.clock import Clock
from baseline_metrics.host_files import boot_id
from campaign.adopted import Adopted, become_subreaper
from campaign.campaign_order import CampaignOrder
from campaign.chores import Chores
from campaign.crew import Crew
from campaign.drill_ports import GuardianDrill
from campaign.guardian_news import GuardianNews
from campaign.host_watch import HostWatch
from campaign.housekeeping import Housekeeping
from campaign.ledger import Ledger
from campaign.night_books import NightBooks
from campaign.night_search import NightSearch
from campaign.pause_file import PauseWatch, pause_path
from campaign.plan_specs import secret_names
from campaign.processes import Marks, started_children
from campaign.report_desk import ReportDesk
from campaign.run_directory import RunDirectory, spare_directory, write_meta
from campaign.status_board import StatusBoard
from campaign.time_watch import TimeWatch
from monitoring_logs.journal import Journal
from monitoring_logs.recorder import Recorder
from monitoring_logs.run_files import files_of
from safety_monitoring.messages import ForgetWorker, WatchWorker
from safety_monitoring.registry import campaign_directory

FULL_NIGHT_S = 8 * 3600.0
"""The length that housekeeping periods are meant for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightParts:
    """What works for one night."""

    order: CampaignOrder
    run: RunDirectory
    clock: Clock
    marks: Marks
    state_dir: Path
    disk_paths: tuple[str, str]
    board: StatusBoard
    ledger: Ledger
    host: HostWatch
    desk: ReportDesk
    housekeeping: Housekeeping
    drill: GuardianDrill
    crew: Crew
    books: NightBooks
    search: NightSearch
    news: GuardianNews
    chores: Chores
    pause: PauseWatch
    time: TimeWatch
    adopted: Adopted


def assemble(
    order: CampaignOrder,
    run: RunDirectory,
    clock: Clock,
    *,
    tell_guardian: Callable[[WatchWorker | ForgetWorker], None],
) -> NightParts:
    """Put the parts together; nothing is started yet. tell_guardian: speaks with whoever guards by then."""
    adopting = become_subreaper()
    marks = Marks(
        run_id=order.night.run_id,
        runs_dir=order.runs_dir,
        state_dir=order.state_dir,
        withheld=frozenset(secret_names(order.target, order.operations)),
    )
    state_dir = Path(campaign_directory(order.state_dir, order.night.run_id))
    spare = spare_directory(order.state_dir, order.night.run_id)
    files = files_of(str(run.path))
    board = StatusBoard(order, run_dir=run.path, path=state_dir / "status.json", clock=clock)
    recorder = Recorder(files.database, spill_path=str(spare / "spill.jsonl"), clock=clock)
    journal = Journal(
        files.journal,
        clock=clock,
        boot_id=boot_id(),
        fallback_path=str(spare / "journal_fallback.jsonl"),
        make_room=recorder.release_ballast,
    )
    ledger = Ledger(run, journal=journal, recorder=recorder, board=board, clock=clock)
    disks = (str(run.path), order.state_dir)
    host = HostWatch(disk_paths=disks, period_s=order.night.host_sample_period_s, clock=clock, store=ledger.put)
    desk = ReportDesk(run.path, marks=marks, output=run.supervisor_log, strict=order.strict, clock=clock)
    scale = order.night.compressed_to_s / FULL_NIGHT_S if order.night.rehearsal else 1.0
    housekeeping = Housekeeping(time_scale=min(1.0, scale))
    drill = GuardianDrill()
    crew = Crew(
        order,
        marks=marks,
        pages=state_dir / "pages",
        logs=run.logs / "workers",
        clock=clock,
        utc_s=ledger.utc_s,
        tell_guardian=tell_guardian,
    )
    books = NightBooks(order.night, ledger=ledger, board=board, host=host)
    news = GuardianNews(
        ledger=ledger,
        books=books,
        drill=drill,
        watches=crew.guardian_watches,
        refuses=crew.guardian_refuses,
        ends=crew.guardian_ends,
        store_protections=lambda protections: write_meta(run, order, protections=(*protections, adopting)),
        clock=clock,
    )
    return NightParts(
        order=order,
        run=run,
        clock=clock,
        marks=marks,
        state_dir=state_dir,
        disk_paths=disks,
        board=board,
        ledger=ledger,
        host=host,
        desk=desk,
        housekeeping=housekeeping,
        drill=drill,
        crew=crew,
        books=books,
        search=NightSearch(order.night, crew=crew, ledger=ledger),
        news=news,
        chores=Chores(ledger=ledger, host=host, crew=crew, desk=desk),
        pause=PauseWatch(pause_path(order.state_dir, order.night.run_id)),
        time=TimeWatch(clock),
        adopted=Adopted(started_children),
    )
