"""One operation of a scripted order, compiled: from a session's variables to a request, from an answer to a judgement.

What can be decided once is decided here; an operation that is always the same is left to the engine as it was prepared.
Pure; worker processes use it.
"""

import re
from dataclasses import dataclass

from stress_scenarios.answer_checks import CheckedAnswer, compile_check, first_failure, unfilled
from stress_scenarios.answer_view import AnswerView
from stress_scenarios.engines.engine import Answer
from stress_scenarios.extraction import Extracted, compile_extraction
from stress_scenarios.guarded_regex import PatternError
from stress_scenarios.json_path import JsonPathError, compile_json_path
from stress_scenarios.load_plan import (
    NO_THINK,
    ErrorClass,
    HttpRequest,
    LatencyCheck,
    LoadOrder,
    NoBody,
    OperationSpec,
    TargetSpec,
    TextBody,
    WebSocketRequest,
)
from stress_scenarios.scenario import (
    AnswerJudgement,
    Failed,
    Passed,
    ReadyRequest,
    ScenarioError,
    is_sent_as_it_is,
    judge_answer,
    judge_content,
    status_ranges,
)
from stress_scenarios.session_values import SessionValues
from stress_scenarios.template import (
    Encoding,
    Template,
    TemplateError,
    body_encoding,
    compile_template,
    message_encoding,
)

PASSED = Passed()

_NOT_IN_A_PATH = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentAsItIs:
    """The engine performs its prepared request of this number."""


SENT_AS_IT_IS = SentAsItIs()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """This request is sent."""

    request: ReadyRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Messaged:
    """This message is sent over the session's WebSocket. headers: of the handshake, without the target's."""

    path: str
    headers: tuple[tuple[str, str], ...]
    message: str
    request_id: str
    kind: WebSocketRequest


Sending = SentAsItIs | Asked | Messaged


class ReadyOperation:
    """One operation. ``index``: in LoadOrder.operations."""

    def __init__(self, target: TargetSpec, spec: OperationSpec, index: int) -> None:
        """Raises TemplateError, JsonPathError, PatternError and ScenarioError."""
        self.spec = spec
        self.index = index
        self.kept_requests: dict[tuple[str, str], ReadyRequest] = {}
        """By method and path, for scenario_session, which bounds it."""
        self._url = target.url.rstrip("/")
        self.is_sent_as_it_is = is_sent_as_it_is(spec)
        self.has_think_time = spec.think != NO_THINK
        self._checks = tuple(compile_check(check) for check in spec.checks)
        self._latency_checks = tuple(compile_check(check) for check in spec.checks if isinstance(check, LatencyCheck))
        self._extractions = tuple(compile_extraction(extraction) for extraction in spec.extractions)
        self._expected = frozenset(spec.expected_status)
        self._expected_text = status_ranges(spec.expected_status)
        self._body_contains = tuple(wanted.encode() for wanted in spec.body_contains)
        self._status_decides = not (self._checks or self._extractions or self._body_contains)
        self._path = compile_template(spec.path, Encoding.PATH)
        self._headers = tuple(
            (field.name, compile_template(field.value, Encoding.HEADER, literals=field.secrets))
            for field in spec.headers
        )
        self._target_headers = tuple((field.name, field.value) for field in target.headers)
        self._message = compile_template("")
        match spec.kind:
            case HttpRequest():
                if not self._expected:
                    raise ScenarioError("no status is expected, so none could ever succeed")
            case WebSocketRequest(message=message, reply_id=reply_id):
                self._message = compile_template(message, message_encoding(message))
                if reply_id:
                    compile_json_path(reply_id)
        match spec.body:
            case NoBody():
                self._content_type = ""
                self._body = compile_template("")
            case TextBody(content=content, content_type=content_type):
                self._content_type = content_type
                self._body = compile_template(content, body_encoding(content_type))
        self._uses_numbers = isinstance(spec.kind, WebSocketRequest) or any(
            template.uses_numbers for template in self.templates
        )
        self._fixed_headers = _fixed(self._headers)
        self._fixed_fields = self._fields(self._fixed_headers.headers, self._content_type)
        self._fixed_body = self._body.fixed_text.encode("utf-8", "replace") if self._body.is_fixed else b""

    @property
    def has_fixed_headers(self) -> bool:
        """Whether its headers are the same for all sessions."""
        return self._fixed_headers.are_all

    @property
    def templates(self) -> tuple[Template, ...]:
        """All that is filled when this operation is sent."""
        return (self._path, *(template for _, template in self._headers), self._body, self._message)

    def sending(self, values: SessionValues) -> Sending | Failed:
        """What to send with these values."""
        if self.is_sent_as_it_is:
            return SENT_AS_IT_IS
        if self._uses_numbers:
            values.write_numbers()
        path = self._filled_path(values)
        if isinstance(path, Failed):
            return path
        headers = self.filled_headers(values)
        if isinstance(headers, Failed):
            return headers
        match self.spec.kind:
            case HttpRequest():
                body = self._filled_body(values)
                if isinstance(body, Failed):
                    return body
                return Asked(
                    request=self.request(
                        method=self.spec.method,
                        path=path,
                        headers=headers,
                        body=body,
                        content_type=self._content_type,
                        timeout_s=self.spec.timeout_s,
                    )
                )
            case WebSocketRequest() as kind:
                message = _filled(self._message, values)
                if isinstance(message, Failed):
                    return message
                return Messaged(
                    path=path,
                    headers=headers,
                    message=message,
                    request_id=values.variables["request_id"],
                    kind=kind,
                )

    def filled_headers(self, values: SessionValues) -> tuple[tuple[str, str], ...] | Failed:
        """The operation's own headers, without the target's."""
        if self._fixed_headers.are_all:
            return self._fixed_headers.headers
        headers: list[tuple[str, str]] = []
        for name, template in self._headers:
            value = _filled(template, values)
            if isinstance(value, Failed):
                return value
            headers.append((name, value))
        return tuple(headers)

    def request(
        self,
        *,
        method: str,
        path: str,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
        content_type: str,
        timeout_s: float,
    ) -> ReadyRequest:
        """A request to the operation's target. The header that comes last wins over others of its name."""
        as_fixed = headers is self._fixed_headers.headers and content_type == self._content_type
        return ReadyRequest(
            method=method.upper(),
            url=self._url + path,
            headers=self._fixed_fields if as_fixed else self._fields(headers, content_type),
            body=body,
            timeout_s=timeout_s,
            expected_status=self._expected,
            expected_status_text=self._expected_text,
            body_contains=self._body_contains,
        )

    def _fields(self, headers: tuple[tuple[str, str], ...], content_type: str) -> tuple[tuple[str, str], ...]:
        """All headers of a request, each name once."""
        fields = {name.lower(): (name, value) for name, value in self._target_headers}
        if content_type:
            fields["content-type"] = ("Content-Type", content_type)
        fields.update({name.lower(): (name, value) for name, value in headers})
        return tuple(fields.values())

    def judge_performed(
        self, judgement: AnswerJudgement, *, service_s: float, values: SessionValues
    ) -> AnswerJudgement:
        """Judge an operation that the engine has judged already: only its time is still to be looked at."""
        if isinstance(judgement, Failed) or not self._latency_checks:
            return judgement
        return first_failure(self._latency_checks, _checked(AnswerView(_NO_ANSWER), service_s, values))

    def judge_answer(
        self, answer: Answer, *, request: ReadyRequest, service_s: float, values: SessionValues
    ) -> AnswerJudgement:
        """Judge a whole answer to this request; what is to be extracted goes into the values when nothing failed."""
        if self._status_decides and answer.status in request.expected_status:
            return PASSED
        judgement = judge_answer(request, status=answer.status, body=answer.body)
        return judgement if isinstance(judgement, Failed) else self._judge_view(answer, service_s, values)

    def judge_reply(self, body: bytes, *, service_s: float, values: SessionValues) -> AnswerJudgement:
        """Judge a reply over WebSocket."""
        judgement = judge_content(self._body_contains, body)
        if isinstance(judgement, Failed):
            return judgement
        answer = Answer(status=0, headers=(), body=body, bytes_received=len(body), redirects=0)
        return self._judge_view(answer, service_s, values)

    def _judge_view(self, answer: Answer, service_s: float, values: SessionValues) -> AnswerJudgement:
        if not self._checks and not self._extractions:
            return PASSED
        view = AnswerView(answer)
        judgement = first_failure(self._checks, _checked(view, service_s, values)) if self._checks else PASSED
        if isinstance(judgement, Failed):
            return judgement
        for extraction in self._extractions:
            extracted = extraction.extract(view)
            match extracted:
                case Extracted(value=value):
                    values.variables[extraction.variable] = value
                case Failed():
                    return extracted
        return PASSED

    def _filled_body(self, values: SessionValues) -> bytes | Failed:
        if self._body.is_fixed:
            return self._fixed_body
        body = _filled(self._body, values)
        return body if isinstance(body, Failed) else body.encode("utf-8", "replace")

    def _filled_path(self, values: SessionValues) -> str | Failed:
        path = _filled(self._path, values)
        if isinstance(path, Failed):
            return path
        within = path.removeprefix(self._url)  # a link that an answer gave may be whole
        if not within.startswith("/") or _NOT_IN_A_PATH.search(within):
            return Failed(
                error=ErrorClass.SCENARIO,
                message=f"{self._path.text} is no path of the target: it must begin with a slash",
            )
        return within


def ready_operations(order: LoadOrder) -> tuple[ReadyOperation, ...]:
    """All operations of an order, compiled. Raises ScenarioError that names the operation."""
    return tuple(_ready(order.target, spec, index) for index, spec in enumerate(order.operations))


def _ready(target: TargetSpec, spec: OperationSpec, index: int) -> ReadyOperation:
    try:
        return ReadyOperation(target, spec, index)
    except (TemplateError, JsonPathError, PatternError, ScenarioError) as error:
        raise ScenarioError(f"operation {spec.name}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _FixedHeaders:
    """are_all: all headers are the same for all sessions, and these; else there are none."""

    headers: tuple[tuple[str, str], ...]
    are_all: bool


def _fixed(headers: tuple[tuple[str, Template], ...]) -> _FixedHeaders:
    if not all(template.is_fixed for _, template in headers):
        return _FixedHeaders(headers=(), are_all=False)
    return _FixedHeaders(headers=tuple((name, template.fixed_text) for name, template in headers), are_all=True)


def _filled(template: Template, values: SessionValues) -> str | Failed:
    filled = template.fill(values.variables, values.draws)
    return filled if isinstance(filled, str) else unfilled(filled)


def _checked(view: AnswerView, service_s: float, values: SessionValues) -> CheckedAnswer:
    return CheckedAnswer(view=view, service_s=service_s, variables=values.variables, draws=values.draws)


_NO_ANSWER = Answer(status=0, headers=(), body=b"", bytes_received=0, redirects=0)
"""Where only the time is looked at."""
