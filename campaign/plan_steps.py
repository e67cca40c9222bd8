"""The parts of a plan that say what a session does beside sending: take values, check answers, pause, speak over a WebSocket.

Pure; see plan_requests, whose operations hold them.
"""

import json
import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from baseline_metrics.refused_value import shown
from baseline_metrics.units import parse_duration_s
from campaign.plan_part import PlanPart, at_fault
from campaign.plan_types import ByteSize, Duration, HeaderName, VariableName
from stress_scenarios import template
from stress_scenarios.json_path import JsonPathError, compile_json_path
from stress_scenarios.load_plan import (
    NO_THINK,
    TEMPLATE_START,
    Check,
    Extraction,
    JsonCheck,
    JsonPresent,
    LatencyCheck,
    RegexCheck,
    SizeCheck,
    Source,
    ThinkTime,
    WebSocketRequest,
)

ANSWER_BYTES_MAX = 8 << 20
"""One answer. Larger ones are cut off and counted as too large: a generator must not fill its own memory."""

THINK_S_MAX = 3600.0
"""A user who thinks for longer than an hour is a new session."""

REQUEST_ID = "request_id"
"""The variable of a WebSocket message that its reply repeats."""

TAKEN_NAMES = template.BUILT_IN_NAMES | {"random", "env"}
"""What templates know without being told; nobody else may have these names."""


def free_name(name: str) -> str:
    """A variable's or feeder's name that no built-in has. Raises ValueError."""
    if name in TAKEN_NAMES:
        raise ValueError(
            f'{shown(name)} has a meaning of its own in templates: write another name, such as "my_{name}"'
        )
    return name


FreeName = Annotated[VariableName, AfterValidator(free_name)]


def _check_json_path(value: str) -> str:
    try:
        compile_json_path(value)
    except JsonPathError as error:
        raise ValueError(f"is not a JSON path: {error}") from error
    return value


def _check_regex(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{shown(value)} is not a regular expression: {error}") from error
    return value


JsonPath = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_check_json_path)]
Regex = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_check_regex)]


def one_of(part: PlanPart, keys: tuple[str, ...], *, needed: bool = True) -> str:
    """The one key of these that was written. Raises the fault that stands at a second one, or at the first when none is."""
    written = written_keys(part)
    given = [key for key in keys if key in written]
    if len(given) > 1:
        raise at_fault(given[1], f"stands beside {given[0]}: write one of the two")
    if not given and needed:
        raise at_fault(keys[0], f"is missing; write one of {', '.join(keys)}")
    return given[0] if given else ""


def written_keys(part: PlanPart) -> tuple[str, ...]:
    """The keys that the plan gives, in the order of the model, as they are written."""
    fields = type(part).model_fields
    return tuple(field.alias or name for name, field in fields.items() if name in part.model_fields_set)


class ThinkPart(PlanPart):
    """A pause, drawn evenly between two lengths; or one length, as in `think: 1s`."""

    seconds_min: Annotated[
        Duration, Field(alias="min", le=THINK_S_MAX, examples=["1s"], description="The shortest pause.")
    ]
    seconds_max: Annotated[
        Duration, Field(alias="max", le=THINK_S_MAX, examples=["3s"], description="The longest pause.")
    ]

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, value: object) -> object:
        if isinstance(value, int | float):
            raise ValueError(f'{shown(value)} has no unit; write "{value}s", or a mapping of min and max')  # noqa: TRY004 - pydantic reports ValueError
        if not isinstance(value, str):
            return value
        if parse_duration_s(value) > THINK_S_MAX:
            raise ValueError(f'{shown(value)} is more than {THINK_S_MAX:g} s; write "1s"')
        return {"min": value, "max": value}

    @model_validator(mode="after")
    def _shorter_first(self) -> Self:
        if self.seconds_min > self.seconds_max:
            raise at_fault("max", "is shorter than min: write a longer one")
        return self

    @property
    def seconds_mean(self) -> float:
        """How long a pause is on average."""
        return (self.seconds_min + self.seconds_max) / 2.0


def think_time(part: ThinkPart | None) -> ThinkTime:
    """The pause after an operation; none when the plan has none."""
    return NO_THINK if part is None else ThinkTime(seconds_min=part.seconds_min, seconds_max=part.seconds_max)


class ExtractPart(PlanPart):
    """A value taken from an answer into a variable of the session. Without a value there the operation fails."""

    variable: Annotated[
        FreeName, Field(alias="as", examples=["token"], description="The variable; later requests write `${token}`.")
    ]
    json_path: JsonPath | None = Field(
        default=None,
        alias="json",
        examples=["$.token"],
        description="JSON path of the value. One of json, regex, header.",
    )
    regex: Regex | None = Field(
        default=None,
        examples=['name="csrf" value="([^"]+)"'],
        description="Regular expression over the body: its first group, else all of the match.",
    )
    header: HeaderName | None = Field(default=None, examples=["Location"], description="Name of a header.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        one_of(self, ("json", "regex", "header"))
        return self

    @property
    def extraction(self) -> Extraction:
        """What the load processes do."""
        if self.json_path is not None:
            return Extraction(variable=self.variable, source=Source.JSON, expression=self.json_path)
        if self.regex is not None:
            return Extraction(variable=self.variable, source=Source.REGEX, expression=self.regex)
        assert self.header is not None, "one source is given"
        return Extraction(variable=self.variable, source=Source.HEADER, expression=self.header)


class BytesPart(PlanPart):
    """How large an answer's body may be, decoded."""

    least: ByteSize | None = Field(default=None, alias="min", examples=["1 B"], description="At least.")
    most: ByteSize | None = Field(
        default=None,
        alias="max",
        le=ANSWER_BYTES_MAX,
        examples=["64KiB"],
        description="At most; an answer of more than 8 MiB fails in any case.",
    )

    @model_validator(mode="after")
    def _less_first(self) -> Self:
        if self.least is None and self.most is None:
            raise at_fault("max", "is missing; write min, max or both")
        if self.size.bytes_min > self.size.bytes_max:
            raise at_fault("max", "is less than min: write more")
        return self

    @property
    def size(self) -> SizeCheck:
        """What the load processes do."""
        return SizeCheck(
            bytes_min=0 if self.least is None else self.least,
            bytes_max=ANSWER_BYTES_MAX if self.most is None else self.most,
        )


class CheckPart(PlanPart):
    """What a good answer has beside its status: one of json, regex, within, bytes."""

    json_path: JsonPath | None = Field(
        default=None, alias="json", examples=["$.state"], description="There is a value at this JSON path."
    )
    equals: Any = Field(default=None, examples=["ready"], description="And it equals this; only beside json.")
    regex: Regex | None = Field(default=None, examples=["total: [0-9]+"], description="The body matches somewhere.")
    service_s_max: Duration | None = Field(
        default=None, alias="within", le=600, examples=["500ms"], description="The service time is at most this."
    )
    body_size: BytesPart | None = Field(default=None, alias="bytes")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        one_of(self, ("json", "regex", "within", "bytes"))
        if "equals" in self.model_fields_set and self.json_path is None:
            raise at_fault("equals", "stands without json: write the path of the value beside it")
        return self

    @property
    def check(self) -> Check:
        """What the load processes do."""
        if self.json_path is not None and "equals" in self.model_fields_set:
            return JsonCheck(path=self.json_path, expected=json.dumps(self.equals, ensure_ascii=False, allow_nan=False))
        if self.json_path is not None:
            return JsonPresent(path=self.json_path)
        if self.regex is not None:
            return RegexCheck(pattern=self.regex)
        if self.service_s_max is not None:
            return LatencyCheck(service_s_max=self.service_s_max)
        assert self.body_size is not None, "one kind is given"
        return self.body_size.size


class WebSocketPart(PlanPart):
    """The operation is a message over the session's WebSocket at `path`, answered by one message."""

    message: Annotated[
        str,
        Field(
            min_length=1,
            max_length=65_536,
            examples=['{"id": "${request_id}", "ask": "price"}'],
            description="A template; `${request_id}` is a new id each time.",
        ),
    ]
    reply_id: JsonPath | None = Field(
        default=None,
        examples=["$.id"],
        description="JSON path of the id in the reply. Without it, whatever comes next is the reply.",
    )
    subprotocols: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")], ...],
        Field(max_length=8, examples=[["graphql-ws"]], description="Offered when connecting, the best first."),
    ] = ()

    @model_validator(mode="after")
    def _id_to_match(self) -> Self:
        if self.reply_id is not None and f"{TEMPLATE_START}{REQUEST_ID}}}" not in self.message:
            raise at_fault("message", f'holds no "${{{REQUEST_ID}}}", so no reply could ever match: write it in')
        return self

    @property
    def request(self) -> WebSocketRequest:
        """What the load processes do."""
        return WebSocketRequest(message=self.message, reply_id=self.reply_id or "", subprotocols=self.subprotocols)
