"""The mix of operations: which one comes next, what is sent, and whether the answer is the expected one.

The choice is a smooth weighted round robin, not a lottery: any stretch of one cycle has exactly the mix, so that short
phases can be compared with long ones. Requests are made ready once, before the load. Pure; the worker uses it.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from baseline_metrics.redaction import redact
from stress_scenarios.load_plan import (
    ErrorClass,
    HttpRequest,
    LatencyCheck,
    LoadOrder,
    NoBody,
    OperationSpec,
    Stage,
    TargetSpec,
    TextBody,
)
from stress_scenarios.messages import ERROR_MESSAGE_CHARACTERS_MAX

CYCLE_LENGTH_MAX = 4096
"""Longest cycle of choices kept; a mix of odder proportions is rounded to 1/4096, well below one operation in a phase."""

_WEIGHT_DENOMINATOR_MAX = 1000
"""Weights are written by people with at most three decimals; this turns 0.1 into 1/10 and not into a binary fraction."""


class ScenarioError(ValueError):
    """An order whose operations cannot be turned into requests. The message names the operation and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyRequest:
    """One operation, ready to send. url keeps the target's name (Host header, TLS name); body is b"" without one."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    timeout_s: float
    expected_status: frozenset[int]
    expected_status_text: str
    body_contains: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """The answer is the expected one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The operation failed. message: bounded, the same text for the same kind of failure."""

    error: ErrorClass
    message: str


AnswerJudgement = Passed | Failed


def choice_cycle(weights: tuple[float, ...]) -> tuple[int, ...]:
    """The order in which operations come, as indices into the weights; repeat it for as long as the load lasts.

    Smooth weighted round robin (as in nginx): each step adds every weight to its operation's credit, takes the operation
    of most credit and subtracts the sum. Any run of one cycle's length has exactly the mix. Weights must be positive.
    """
    shares = _whole_shares(weights)
    total = sum(shares)
    credit = [0] * len(shares)
    cycle = []
    for _ in range(total):
        for index, share in enumerate(shares):
            credit[index] += share
        chosen = max(range(len(shares)), key=credit.__getitem__)
        credit[chosen] -= total
        cycle.append(chosen)
    return tuple(cycle)


def cycle_offset(order: LoadOrder, connection: int, cycle_length: int) -> int:
    """Where in the cycle a connection of this worker begins: seeded, neighbours one step apart, so that they mix at once."""
    return (order.seed + order.connection_offset + connection) % cycle_length


def ready_requests(order: LoadOrder) -> tuple[ReadyRequest, ...]:
    """Turn an order's operations into requests, in their order. Raises ScenarioError.

    Those that are made anew for each session have a request here that is never sent, so that numbers stay the same.
    """
    if not order.operations:
        raise ScenarioError("the order has no operations")
    return tuple(
        _ready_request(order.target, operation) if is_sent_as_it_is(operation) else never_sent(order.target, operation)
        for operation in order.operations
    )


def is_sent_as_it_is(operation: OperationSpec) -> bool:
    """Whether an operation is always the same request, of whose answer nothing is needed but what a request expects."""
    return (
        isinstance(operation.kind, HttpRequest)
        and operation.stage is not Stage.CODE
        and not operation.has_placeholders
        and not operation.extractions
        and operation.redirects_max == 0
        and all(isinstance(check, LatencyCheck) for check in operation.checks)
    )


def never_sent(target: TargetSpec, operation: OperationSpec) -> ReadyRequest:
    """What stands for an operation whose requests are made while the load runs; only its timeout means something."""
    return ReadyRequest(
        method="GET",
        url=target.url.rstrip("/") + "/",
        headers=(),
        body=b"",
        timeout_s=operation.timeout_s,
        expected_status=frozenset({200}),
        expected_status_text="200",
        body_contains=(),
    )


def judge_answer(request: ReadyRequest, *, status: int, body: bytes) -> AnswerJudgement:
    """Whether an answer is the expected one: first its status, then what its body must contain."""
    if status not in request.expected_status:
        return Failed(error=ErrorClass.STATUS, message=f"status {status}, expected {request.expected_status_text}")
    return judge_content(request.body_contains, body)


def judge_content(body_contains: tuple[bytes, ...], body: bytes) -> AnswerJudgement:
    """Whether a body contains all that it must."""
    for wanted in body_contains:
        if wanted not in body:
            text = wanted.decode("utf-8", "replace")
            return Failed(error=ErrorClass.CHECK, message=bounded_message(f'the answer does not contain "{text}"'))
    return Passed()


def failure(error: ErrorClass, text: str) -> Failed:
    """A failure described by someone else's words: numbers (ports, addresses, object ids) are taken out, so that it groups.

    Secrets go first: without its digits or its end nobody would know one again.
    """
    return Failed(error=error, message=bounded_message(re.sub(r"0x[0-9a-fA-F]+|\d+", "#", redact(text))))


def bounded_message(text: str) -> str:
    """One printable line of at most ERROR_MESSAGE_CHARACTERS_MAX characters."""
    line = "".join(character if character.isprintable() else " " for character in text)
    if len(line) > ERROR_MESSAGE_CHARACTERS_MAX:
        line = line[: ERROR_MESSAGE_CHARACTERS_MAX - 3] + "..."
    return line


def _whole_shares(weights: tuple[float, ...]) -> list[int]:
    if not weights or not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise ScenarioError(f"weights must be positive numbers, got {list(weights)}")
    fractions = [Fraction(weight).limit_denominator(_WEIGHT_DENOMINATOR_MAX) for weight in weights]
    if all(fraction > 0 for fraction in fractions):
        common = math.lcm(*(fraction.denominator for fraction in fractions))
        shares = [int(fraction * common) for fraction in fractions]
        divisor = math.gcd(*shares)
        shares = [share // divisor for share in shares]
        if sum(shares) <= CYCLE_LENGTH_MAX:
            return shares
    total = sum(weights)
    return [max(1, round(weight / total * CYCLE_LENGTH_MAX)) for weight in weights]


def _ready_request(target: TargetSpec, operation: OperationSpec) -> ReadyRequest:
    if not operation.path.startswith("/"):
        raise ScenarioError(f'operation {operation.name}: the path "{operation.path}" must begin with a slash')
    if not operation.expected_status:
        raise ScenarioError(f"operation {operation.name}: no status is expected, so none could ever succeed")
    if not operation.timeout_s > 0:
        raise ScenarioError(f"operation {operation.name}: the timeout must be longer than zero")
    headers = {field.name.lower(): (field.name, field.value) for field in target.headers}
    match operation.body:
        case NoBody():
            body = b""
        case TextBody() as text:
            body = text.content.encode()
            headers["content-type"] = ("Content-Type", text.content_type)
    headers.update({field.name.lower(): (field.name, field.value) for field in operation.headers})
    return ReadyRequest(
        method=operation.method.upper(),
        url=target.url.rstrip("/") + operation.path,
        headers=tuple(headers.values()),
        body=body,
        timeout_s=operation.timeout_s,
        expected_status=frozenset(operation.expected_status),
        expected_status_text=status_ranges(operation.expected_status),
        body_contains=tuple(wanted.encode() for wanted in operation.body_contains),
    )


def status_ranges(statuses: tuple[int, ...]) -> str:
    """Statuses as people write them: "200, 301-303"."""
    ranges: list[list[int]] = []
    for status in sorted(set(statuses)):
        if ranges and status == ranges[-1][1] + 1:
            ranges[-1][1] = status
        else:
            ranges.append([status, status])
    return bounded_message(", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges))
