"""The mix is exact, requests are ready, answers are judged."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.redaction import HIDDEN, forget_secrets, register_secret
from stress_scenarios.load_plan import ErrorClass, HeaderField, TextBody
from stress_scenarios.messages import ERROR_MESSAGE_CHARACTERS_MAX
from stress_scenarios.scenario import (
    CYCLE_LENGTH_MAX,
    Failed,
    Passed,
    ScenarioError,
    choice_cycle,
    cycle_offset,
    failure,
    judge_answer,
    ready_requests,
)
from tests.stress_scenarios.orders import Operation, an_order


@given(
    st.lists(st.integers(min_value=1, max_value=20), min_size=1, max_size=8), st.integers(min_value=0, max_value=200)
)
def test_any_run_of_one_cycle_has_exactly_the_mix(weights: list[int], start: int) -> None:
    """Wherever a run of one cycle begins, each operation comes in proportion to its weight."""
    cycle = choice_cycle(tuple(float(weight) for weight in weights))
    run = Counter(cycle[(start + step) % len(cycle)] for step in range(len(cycle)))
    scale = sum(weights) // len(cycle)
    assert [run[index] * scale for index in range(len(weights))] == weights


def test_operations_are_spread_and_not_in_blocks() -> None:
    """The known example of smooth weighted round robin: 5, 1, 1 never gives five in a row."""
    assert choice_cycle((5.0, 1.0, 1.0)) == (0, 0, 1, 0, 2, 0, 0)


def test_decimal_weights_mean_what_people_write() -> None:
    """0.1 and 0.3 are 1 and 3, not binary fractions of a giant cycle."""
    assert Counter(choice_cycle((0.1, 0.3))) == {0: 1, 1: 3}


def test_odd_proportions_are_rounded_to_a_bounded_cycle() -> None:
    """A mix whose exact cycle would be huge stays within the bound, and every operation still comes."""
    cycle = choice_cycle((0.997, 0.331, 0.0001, 0.703))
    assert len(cycle) <= CYCLE_LENGTH_MAX + 4
    assert set(cycle) == {0, 1, 2, 3}


@pytest.mark.parametrize("weights", [(), (0.0,), (1.0, -1.0), (float("nan"),), (float("inf"),)])
def test_weights_that_are_no_proportions_are_refused(weights: tuple[float, ...]) -> None:
    """Each weight must be a positive number."""
    with pytest.raises(ScenarioError):
        choice_cycle(weights)


def test_connections_begin_at_neighbouring_places_by_seed() -> None:
    """Connections of all workers are one step apart, so the mix is there from the first moment."""
    order = an_order(connections=3, connection_offset=4, seed=10)
    assert [cycle_offset(order, connection, 7) for connection in range(3)] == [0, 1, 2]


def test_requests_carry_target_and_operation_headers() -> None:
    """An operation's header wins over the target's of the same name, whatever its case; the body brings its type."""
    operation = Operation(
        path="/post?x=1",
        method="post",
        headers=(HeaderField(name="x-token", value="operation"),),
        body=TextBody(content="grüezi", content_type="text/plain"),
    )
    order = an_order(operation, port=8080)
    target = replace(
        order.target,
        url="http://shop.test:8080/base/",
        headers=(HeaderField(name="X-Token", value="target"), HeaderField(name="X-Other", value="1")),
    )
    (request,) = ready_requests(replace(order, target=target))
    assert request.method == "POST"
    assert request.url == "http://shop.test:8080/base/post?x=1"
    assert request.body == "grüezi".encode()
    assert sorted(request.headers) == [("Content-Type", "text/plain"), ("X-Other", "1"), ("x-token", "operation")]


@pytest.mark.parametrize(
    ("operation", "complaint"),
    [
        (Operation(path="no-slash"), "slash"),
        (Operation(expected_status=()), "no status"),
        (Operation(timeout_s=0.0), "timeout"),
    ],
)
def test_operations_that_make_no_sense_are_refused(operation: Operation, complaint: str) -> None:
    """The message names the operation and what is wrong."""
    with pytest.raises(ScenarioError, match=complaint):
        ready_requests(an_order(operation))


def test_an_expected_answer_passes() -> None:
    """Status and all texts are there."""
    (request,) = ready_requests(an_order(Operation(expected_status=(200, 404), body_contains=("one", "two"))))
    assert judge_answer(request, status=404, body=b"one and two") == Passed()


def test_an_unexpected_status_fails_with_the_expected_ones() -> None:
    """Runs of statuses are written as ranges."""
    (request,) = ready_requests(an_order(Operation(expected_status=(200, 201, 202, 301))))
    expected = Failed(error=ErrorClass.STATUS, message="status 500, expected 200-202, 301")
    assert judge_answer(request, status=500, body=b"") == expected


def test_a_missing_text_fails_the_check() -> None:
    """The status is right, the content is not."""
    (request,) = ready_requests(an_order(Operation(body_contains=("welcome",))))
    expected = Failed(error=ErrorClass.CHECK, message='the answer does not contain "welcome"')
    assert judge_answer(request, status=200, body=b"go away") == expected


def test_messages_of_failures_are_bounded_and_group() -> None:
    """Numbers are taken out, control characters too, and the length is limited."""
    assert failure(ErrorClass.OTHER, "port 41234 at 0x7f12ab\n") == failure(ErrorClass.OTHER, "port 5 at 0x1\t")
    register_secret("hunter2-and-more")
    try:
        assert "hunter" not in failure(ErrorClass.OTHER, "x" * 190 + "hunter2-and-more").message  # hidden, then cut
        assert failure(ErrorClass.OTHER, "got hunter2-and-more 7").message == f"got {HIDDEN} #"
    finally:
        forget_secrets()
    long = failure(ErrorClass.OTHER, "x" * 1000).message
    assert len(long) == ERROR_MESSAGE_CHARACTERS_MAX
    assert failure(ErrorClass.OTHER, "x" * ERROR_MESSAGE_CHARACTERS_MAX).message == "x" * ERROR_MESSAGE_CHARACTERS_MAX
