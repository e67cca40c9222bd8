"""The worker as a real process against real servers: exact counts, and an end to every load."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from baseline_metrics.samples import Sample
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import EngineName, ErrorClass
from stress_scenarios.messages import (
    Go,
    Leave,
    Release,
)
from stress_scenarios.process_start import EXIT_LEFT, EXIT_OUR_FAULT, EXIT_PERMISSION_GONE, start_ticks_of
from stress_scenarios.solo_worker import SoloWorker, SoloWorkerError
from tests.stress_scenarios.orders import Operation, an_order, unpaced
from tests.stress_scenarios.worker_rig import HANG_S, begin, finish, ready, run_order, until
from tests.support.servers import HttpServer, NginxServer

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=[EngineName.HTTPX, EngineName.WIRE], ids=lambda name: name.value)
def engine(request: pytest.FixtureRequest) -> EngineName:
    """Both engines that load a target: what holds for one holds for the other."""
    name = request.param
    assert isinstance(name, EngineName)
    return name


def exit_of(worker: SoloWorker) -> int:
    """The exit code of a worker that must end."""
    return worker.process.wait(HANG_S)


# Counts -------------------------------------------------------------------------------------------------------------


def test_what_is_reported_is_what_nginx_saw(tmp_path: Path, nginx: NginxServer, engine: EngineName) -> None:
    """Requested, reports, page and access log agree; connections are the client ports that the server saw."""
    order = an_order(port=nginx.port, connections=4, rate=15.0, per_session=9, ramp_s=1.0, hold_s=2.0)
    drained, windows, page = run_order(tmp_path, order, engine)
    counts = page.operation(0)
    lines = nginx.requests(at_least=drained.operations_started)
    assert (
        len(lines) == drained.operations_started == drained.operations_succeeded == counts.started == counts.succeeded
    )
    assert drained.operations_started >= 0.98 * drained.operations_requested
    assert drained.operations_requested == 45 + 42 + 38 + 34
    assert len({line.remote_port for line in lines}) == drained.connections_opened == page.connections_opened
    assert (drained.connections_peak, page.connections_open, drained.operations_abandoned) == (4, 0, 0)
    assert sum(operation.succeeded for window in windows for operation in window.operations) == len(lines)
    assert sum(window.bytes_received for window in windows) == counts.bytes_received > 0
    assert windows[-1].operations_due == page.operations_due == drained.operations_requested
    assert [window.sequence for window in windows] == list(range(1, len(windows) + 1))
    assert all(line.user_agent == "daybreak" for line in lines)
    page.close()


def test_two_loads_on_one_worker_are_counted_apart(tmp_path: Path, nginx: NginxServer, engine: EngineName) -> None:
    """Reports begin anew with each segment, the page goes on."""
    with SoloWorker(tmp_path, engine=engine) as worker:
        ready(worker)
        started = []
        for segment in (3, 4):
            begin(worker, an_order(port=nginx.port, rate=40.0, hold_s=0.5, segment=segment))
            drained, windows = finish(worker)
            assert drained.segment == segment
            assert {window.segment for window in windows} == {segment}
            started.append(drained.operations_started)
        assert worker.page.operation(0).started == sum(started) == len(nginx.requests(at_least=sum(started)))
        worker.send(Leave())
        assert exit_of(worker) == EXIT_LEFT


def test_a_mix_against_httpbin_has_the_rates_and_times_that_it_implies(
    tmp_path: Path, httpbin: HttpServer, engine: EngineName
) -> None:
    """An unexpected 500 fails, an expected one does not, and a second of delay is a second of latency."""
    operations = (
        Operation(path="/get", weight=2.0),
        Operation(path="/post", method="POST"),
        Operation(path="/status/500"),
        Operation(path="/status/500?expected", expected_status=(500,)),
        Operation(path="/delay/1"),
    )
    order = an_order(*operations, port=httpbin.port, connections=4, rate=1.0, per_session=6, hold_s=6.0)
    drained, windows, page = run_order(tmp_path, order, engine)
    assert drained.operations_started == drained.operations_requested == 24
    assert [page.operation(index).started for index in range(5)] == [8, 4, 4, 4, 4]
    assert [page.operation(index).failed for index in range(5)] == [0, 0, 4, 0, 0]
    page.close()
    errors = {(error.operation, error.error, error.message) for window in windows for error in window.errors}
    assert errors == {(2, ErrorClass.STATUS, "status 500, expected 200")}
    delayed = Histogram()
    for window in windows:
        for operation in window.operations:
            if operation.operation == 4:
                delayed.merge(Histogram.decode(operation.service_succeeded))
    assert delayed.count == 4
    assert isinstance(delayed.min_s, Sample)
    assert isinstance(delayed.mean_s, Sample)
    assert delayed.min_s.value >= 1.0
    assert delayed.mean_s.value < 1.5


def test_a_refused_port_makes_every_operation_fail_and_the_load_goes_on(tmp_path: Path, engine: EngineName) -> None:
    """A dead target is a fact, not an end."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        drained, windows, page = run_order(
            tmp_path, an_order(port=taken.getsockname()[1], rate=30.0, hold_s=1.5), engine
        )
    page.close()
    assert drained.operations_failed == drained.operations_started == 45
    assert (drained.operations_succeeded, drained.connections_opened, drained.connections_peak) == (0, 0, 0)
    assert {(error.error, error.message) for window in windows for error in window.errors} == {
        (ErrorClass.REFUSED, "connection refused")
    }


def test_an_unpaced_load_keeps_its_connection_busy(tmp_path: Path, nginx: NginxServer, engine: EngineName) -> None:
    """Without a pace the target's speed is the rate; every request is still counted."""
    drained, _, page = run_order(tmp_path, unpaced(an_order(port=nginx.port, per_session=1000, hold_s=0.5)), engine)
    page.close()
    assert (
        drained.operations_started
        == drained.operations_requested
        == len(nginx.requests(at_least=drained.operations_started))
    )
    assert drained.operations_started > 20


# Easing -------------------------------------------------------------------------------------------------------------


def test_half_the_share_is_half_the_rate(tmp_path: Path, nginx: NginxServer, engine: EngineName) -> None:
    """Eased from its start to its end, a load makes half of what is requested."""
    with SoloWorker(tmp_path, share=0.5, engine=engine) as worker:
        ready(worker)
        begin(worker, an_order(port=nginx.port, connections=4, rate=20.0, hold_s=2.0))
        drained, _ = finish(worker)
    assert drained.operations_requested == 160
    assert drained.operations_started == pytest.approx(80, abs=8)


def test_share_zero_stops_sending_and_the_worker_lives(tmp_path: Path, nginx: NginxServer, engine: EngineName) -> None:
    """While paused nothing is sent, the heartbeat goes on, and load returns without a burst when permitted."""
    with SoloWorker(tmp_path, engine=engine) as worker:
        ready(worker)
        begin(worker, an_order(port=nginx.port, connections=4, rate=25.0, hold_s=4.0))
        until(lambda: worker.page.operation(0).started > 20, "the load runs")
        worker.set_share(0.0)
        time.sleep(0.1)
        paused_at, beat_at = worker.page.operation(0).started, worker.page.heartbeat_mono_ns
        time.sleep(0.5)
        assert worker.page.operation(0).started == paused_at
        assert worker.page.heartbeat_mono_ns > beat_at
        worker.set_share(1.0)
        until(lambda: worker.page.operation(0).started > paused_at + 20, "the load returns")
        drained, windows = finish(worker)
    counts = [sum(operation.succeeded for operation in window.operations) for window in windows]
    assert drained.operations_started == pytest.approx(400 - 60, abs=20)
    assert max(counts) <= 110


# Ends ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def loaded(tmp_path: Path, nginx: NginxServer, engine: EngineName) -> SoloWorker:
    """Start a worker; the test enters it and calls begin."""
    assert nginx.port
    return SoloWorker(tmp_path, engine=engine)


def begin_and_see_load(worker: SoloWorker, nginx: NginxServer) -> None:
    """A long load that has begun."""
    ready(worker)
    begin(worker, an_order(port=nginx.port, connections=4, rate=50.0, hold_s=60.0))
    until(lambda: worker.page.operation(0).started > 10, "the load runs")


def test_a_revoked_lease_ends_the_process_at_once(loaded: SoloWorker, nginx: NginxServer) -> None:
    """Within a tenth of a second, counted generously, nothing is left of it."""
    with loaded as worker:
        begin_and_see_load(worker, nginx)
        began_s = time.monotonic()
        worker.revoke()
        assert exit_of(worker) == EXIT_PERMISSION_GONE
        assert time.monotonic() - began_s < 0.5


def test_a_lease_that_nobody_renews_ends_the_process(loaded: SoloWorker, nginx: NginxServer) -> None:
    """After 0.8 s without renewal the load ends by itself, as if the guardian were dead."""
    with loaded as worker:
        begin_and_see_load(worker, nginx)
        began_s = time.monotonic()
        worker.stop_renewing()
        assert exit_of(worker) == EXIT_PERMISSION_GONE
        assert 0.5 < time.monotonic() - began_s < 2.0


def test_the_end_of_its_orders_ends_the_process(loaded: SoloWorker, nginx: NginxServer) -> None:
    """A supervisor that is gone closes the pipe, and the load ends at once."""
    with loaded as worker:
        begin_and_see_load(worker, nginx)
        assert worker.process.stdin is not None
        began_s = time.monotonic()
        worker.process.stdin.close()
        assert exit_of(worker) == EXIT_PERMISSION_GONE
        assert time.monotonic() - began_s < 0.5


def test_a_closed_report_pipe_ends_the_process(loaded: SoloWorker, nginx: NginxServer) -> None:
    """Nobody listens: the next window cannot be told, so the load ends."""
    with loaded as worker:
        begin_and_see_load(worker, nginx)
        assert worker.process.stdout is not None
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, worker.process.stdout.fileno())  # closes the reading end under its reader
        os.close(nothing)
        assert exit_of(worker) == EXIT_PERMISSION_GONE


def test_sigterm_ends_the_process(loaded: SoloWorker, nginx: NginxServer) -> None:
    """The default action stands."""
    with loaded as worker:
        begin_and_see_load(worker, nginx)
        worker.process.terminate()
        assert exit_of(worker) == -signal.SIGTERM


def test_a_kill_leaves_exact_counts(loaded: SoloWorker, nginx: NginxServer) -> None:
    """After SIGKILL the page says what was done; at most one operation per connection is in doubt."""
    with loaded as worker:
        begin_and_see_load(worker, nginx)
        worker.process.kill()
        assert exit_of(worker) == -signal.SIGKILL
        counts = worker.page.operation(0)
        in_flight = counts.started - counts.succeeded - counts.failed
        lines = nginx.requests(at_least=counts.succeeded)
        assert counts.failed == 0
        assert 0 <= in_flight <= 4
        assert counts.succeeded <= len(lines) <= counts.started


def test_a_line_that_is_no_order_ends_the_process_with_a_word(tmp_path: Path) -> None:
    """What the table does not know is refused, with a WorkerFault and exit code 70."""
    for number, line in enumerate(
        (b"nonsense\n", b'{"v":1,"m":{"type":"Dance"}}\n', b'{"v":9,"m":{"type":"Leave"}}\n')
    ):
        directory = tmp_path / str(number)
        directory.mkdir()
        with SoloWorker(directory) as worker:
            ready(worker)
            worker.send_line(line)
            with pytest.raises(SoloWorkerError, match="CodecError"):
                worker.next_report(HANG_S)
            assert exit_of(worker) == EXIT_OUR_FAULT


def test_an_order_out_of_turn_ends_the_process_with_a_word(tmp_path: Path) -> None:
    """Go without Prepare is our own fault."""
    with SoloWorker(tmp_path) as worker:
        ready(worker)
        worker.send(Go(segment=0, start_mono_s=0.0))
        with pytest.raises(SoloWorkerError, match="not prepared"):
            worker.next_report(HANG_S)
        assert exit_of(worker) == EXIT_OUR_FAULT


def test_a_hung_load_loop_does_not_outlive_its_lease(tmp_path: Path, nginx: NginxServer, engine: EngineName) -> None:
    """A worker that was stopped (SIGSTOP) and goes on after its lease ran out ends before it sends anything."""
    with SoloWorker(tmp_path, engine=engine) as worker:
        begin_and_see_load(worker, nginx)
        os.kill(worker.process.pid, signal.SIGSTOP)
        worker.stop_renewing()
        time.sleep(1.0)
        before = len(nginx.requests())
        os.kill(worker.process.pid, signal.SIGCONT)
        assert exit_of(worker) == EXIT_PERMISSION_GONE
        assert len(nginx.requests()) - before <= 4


def test_a_worker_dies_with_its_parent(tmp_path: Path, nginx: NginxServer) -> None:
    """A parent that is killed takes its worker along, whatever the lease says."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from stress_scenarios.solo_worker import SoloWorker\n"
        "worker = SoloWorker(Path(sys.argv[1])).__enter__()\n"
        "print(worker.next_report(30).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    assert nginx.port
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: is_gone(pid), "the worker is gone")


def is_gone(pid: int) -> bool:
    """Whether a process ended (a zombie that nobody has reaped yet has)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat[stat.rindex(")") + 2] == "Z"


# Start --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", list(EngineName))
def test_a_ready_worker_is_expendable_and_says_who_it_is(tmp_path: Path, engine: EngineName) -> None:
    """Identity, a session of its own, and the first place in the queue of the out-of-memory killer."""
    with SoloWorker(tmp_path, engine=engine) as worker:
        report = ready(worker)
        proc = Path(f"/proc/{report.pid}")
        assert report.pid == worker.process.pid
        assert report.start_ticks == start_ticks_of((proc / "stat").read_text())
        assert report.engine is engine
        assert (proc / "oom_score_adj").read_text().strip() == "1000"
        assert os.getsid(report.pid) == report.pid


def test_a_drill_worker_imports_nothing_beyond_the_standard_library() -> None:
    """It must start in a moment, on the smallest machine."""
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import stress_scenarios.worker\n"
        "ours = ('baseline_metrics', 'stress_scenarios')\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "foreign = new - set(sys.stdlib_module_names) - set(ours)\n"
        "assert not foreign, foreign\n"
        "assert 'asyncio' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=HANG_S)


def test_prints_of_libraries_do_not_corrupt_the_reports(tmp_path: Path) -> None:
    """Standard output belongs to the reports; a print, and a write to descriptor 1, go to standard error."""
    code = (
        "import os, sys\n"
        "from stress_scenarios.order_pipes import claim_report_pipe\n"
        "reports = claim_report_pipe()\n"
        "print('noise')\n"
        "os.write(1, b'more noise')\n"
        "os.write(reports, b'report')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=HANG_S, check=True)
    assert ended.stdout == b"report"
    assert b"noise" in ended.stderr
    assert b"more noise" in ended.stderr
    assert tmp_path


def test_a_released_load_drains_and_the_worker_stays(tmp_path: Path, httpbin: HttpServer, engine: EngineName) -> None:
    """What is in flight at the Release ends and counts; afterwards the worker takes the next order."""
    with SoloWorker(tmp_path, engine=engine) as worker:
        ready(worker)
        begin(worker, an_order(Operation(path="/delay/1"), port=httpbin.port, connections=3, rate=1.0, hold_s=60.0))
        until(lambda: worker.page.operation(0).started == 3, "three operations are in flight")
        worker.send(Release(segment=0))
        drained, _ = finish(worker)
        assert (drained.operations_succeeded, drained.operations_abandoned) == (3, 0)
        order = an_order(Operation(path="/delay/5"), port=httpbin.port, rate=1.0, hold_s=0.5, drain_s=0.2)
        begin(worker, replace(order, segment=1))
        drained, _ = finish(worker)
        assert (drained.operations_succeeded, drained.operations_abandoned) == (0, 1)
