"""The parts of a plan that say whom to load, and with which requests. Pure; see plan."""

import json
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from baseline_metrics.redaction import redact
from baseline_metrics.refused_value import shown
from campaign.plan_part import PlanPart, at_fault
from campaign.plan_steps import CheckPart, ExtractPart, ThinkPart, WebSocketPart, written_keys
from campaign.plan_types import (
    ENVIRONMENT_REFERENCE,
    Duration,
    Headers,
    HeaderValue,
    Name,
    Names,
    RequestPath,
    Status,
)
from stress_scenarios.load_plan import TEMPLATE_START, NoBody, Stage, TextBody

REDIRECTS_MAX = 20
"""What browsers follow before they call it a loop."""

OF_HTTP = ("method", "body", "json", "content_type", "expect_status", "redirects")
"""Keys of an HTTP request, which mean nothing for a message over a WebSocket."""


class TargetPart(PlanPart):
    """Whom to load."""

    name: Annotated[Name, Field(examples=["shop"], description="How reports call the target.")] = "target"
    url: Annotated[
        str,
        Field(max_length=2000, examples=["http://127.0.0.1:8080"], description="Scheme, host and port; no path."),
    ]
    headers: Annotated[
        Headers,
        Field(
            default_factory=dict,
            max_length=64,
            examples=[{"Accept": "text/html"}],
            description="Sent with every operation.",
        ),
    ]
    ca_file: Annotated[
        str,
        Field(
            max_length=4096,
            examples=["/etc/ssl/shop.pem"],
            description="Certificates to trust, instead of the system's.",
        ),
    ] = ""
    allow: Annotated[
        tuple[str, ...],
        Field(
            max_length=64,
            examples=[["shop.example.org"]],
            description="Hosts outside loopback and private ranges that may be loaded; a target's own name among them.",
        ),
    ] = ()

    connect_s_max: Duration | None = Field(
        default=None,
        alias="connect_timeout",
        ge=0.01,
        le=600,
        examples=["2s"],
        description="For connecting, TLS included; within the operation's own timeout. Only with the engine wire.",
    )
    first_byte_s_max: Duration | None = Field(
        default=None,
        alias="first_byte_timeout",
        ge=0.01,
        le=600,
        examples=["5s"],
        description="From the sent request to the first byte of the answer. Only with the engine wire.",
    )

    @field_validator("headers")
    @classmethod
    def _no_variables(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if TEMPLATE_START in ENVIRONMENT_REFERENCE.sub("", value):
                raise at_fault(
                    name,
                    f'{shown(value)} holds a reference that is not known here: write "${{env:NAME}}", or write the header '
                    "under an operation, where variables are known",
                )
        return headers

    @field_validator("url")
    @classmethod
    def _plain_origin(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError as error:
            raise ValueError(f'{shown(redact(value))} is not a URL ({error}): write "http://HOST:PORT"') from error
        if parts.scheme not in ("http", "https"):
            raise ValueError(
                f'{shown(redact(value))} is not an HTTP address: write "http://HOST:PORT" or "https://HOST"'
            )
        if not parts.hostname or port == 0 or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError(f'{shown(redact(value))} names no host: write "http://HOST:PORT"')
        if "@" in parts.netloc:
            raise ValueError('holds a user name: write it as a header, Authorization: "${env:NAME}"')
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError(
                f"{shown(redact(value))} holds a path: write it as the path of an operation under scenario"
            )
        return value.rstrip("/")


class OperationPart(PlanPart):
    """One operation: a request and its answer. Path, header values and body may be templates."""

    name: Annotated[Name, Field(examples=["catalogue"], description="How reports call the operation.")]
    stage: Annotated[
        Literal["setup", "mix", "teardown"],
        Field(
            examples=["setup"],
            description="Each session begins with those of setup, in their order, and ends with those of teardown; "
            "between, it performs `operations` of the mix.",
        ),
    ] = "mix"
    weight: Annotated[
        float, Field(gt=0, le=1000, examples=[3], description="Its share of the mix, relative to the others'.")
    ] = 1.0
    tags: Annotated[
        Names, Field(examples=[["smoke", "checkout"]], description="For choosing operations: see `tags` of the plan.")
    ] = ()
    method: Annotated[
        Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        Field(examples=["GET"], description="HTTP method, in capitals."),
    ] = "GET"
    path: Annotated[RequestPath, Field(examples=["/catalogue"], description="Path and query, percent-encoded.")]
    headers: Annotated[
        Headers,
        Field(
            default_factory=dict,
            max_length=64,
            examples=[{"Accept": "text/html"}],
            description="Sent with this operation, over the target's.",
        ),
    ]
    body: Annotated[
        str, Field(examples=["hello"], description="The request's body as text. No body unless this or json is given.")
    ] = ""
    json_body: Annotated[
        Any, Field(alias="json", examples=[{"item": 1}], description="The request's body as JSON; instead of body.")
    ] = None
    content_type: Annotated[
        HeaderValue,
        Field(examples=["text/plain"], description="Of the body; application/json or plain UTF-8 text unless given."),
    ] = ""
    expect_status: Annotated[
        tuple[Status, ...],
        Field(min_length=1, max_length=100, examples=[[200, "3xx"]], description="Answers that count as success."),
    ] = ("2xx", "3xx")
    contains: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...],
        Field(
            max_length=16, examples=[["in stock"]], description="Texts that a good answer's body holds, each of them."
        ),
    ] = ()
    timeout_s: Annotated[
        Duration,
        Field(
            alias="timeout",
            ge=0.01,
            le=600,
            examples=["10s"],
            description="For the whole operation, connecting included.",
        ),
    ] = 10.0

    extract: Annotated[
        tuple[ExtractPart, ...], Field(max_length=16, description="Values taken from the answer into variables.")
    ] = ()
    checks: Annotated[
        tuple[CheckPart, ...], Field(max_length=16, description="What a good answer has beside its status.")
    ] = ()
    think: ThinkPart | None = Field(default=None, description="A pause after the operation. None unless given.")
    redirects_max: Annotated[
        int,
        Field(
            alias="redirects",
            ge=0,
            le=REDIRECTS_MAX,
            examples=[3],
            description="Redirects to follow within the operation; 0: they are counted and not followed.",
        ),
    ] = 0
    websocket: WebSocketPart | None = Field(
        default=None, description="A message over a WebSocket instead of an HTTP request."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = self.model_fields_set
        if self.websocket is not None:
            for key in written_keys(self):
                if key in OF_HTTP:
                    raise at_fault(
                        key, "stands beside websocket, and belongs to an HTTP request: leave one of them out"
                    )
        if self.stage != "mix" and "weight" in given:
            raise at_fault("weight", f"has no effect in {self.stage}, where each operation runs once: leave it out")
        return self

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        given = self.model_fields_set
        if "body" in given and "json_body" in given:
            raise at_fault("json", "stands beside body: write one of the two")
        if "body" in given and not self.body:
            raise at_fault("body", "is empty: leave it out for a request without a body")
        if "content_type" in given and isinstance(self.payload, NoBody):
            raise at_fault("content_type", "stands without a body: write body or json beside it, or leave it out")
        if any(name.lower() == "content-type" for name in self.headers):
            raise at_fault("headers", "hold Content-Type: write it as content_type")
        return self

    @property
    def when(self) -> Stage:
        """When a session performs it."""
        return Stage(self.stage)

    @property
    def payload(self) -> NoBody | TextBody:
        """The request's body."""
        if "json_body" in self.model_fields_set:
            content = json.dumps(self.json_body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            return TextBody(content=content, content_type=self.content_type or "application/json")
        if self.body:
            return TextBody(content=self.body, content_type=self.content_type or "text/plain; charset=utf-8")
        return NoBody()

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every status that counts as success, ascending."""
        found: set[int] = set()
        for status in self.expect_status:
            if isinstance(status, int):
                found.add(status)
            else:
                first = int(status[0]) * 100
                found.update(range(first, first + 100))
        return tuple(sorted(found))
