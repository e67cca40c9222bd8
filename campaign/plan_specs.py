"""Makes of a plan what the load processes need, and resolves secrets at the last moment.

The records made from a plan keep ``${env:NAME}`` as it is written, so that they can be stored; the supervisor resolves
them in memory on their way to a worker's pipe, and what is resolved is hidden from all text of this process. Launcher
and supervisor use it.
"""

import dataclasses
from collections.abc import Mapping

from baseline_metrics.redaction import RedactionError, register_secrets
from baseline_metrics.target_policy import PinnedTarget
from campaign.plan import Plan
from campaign.plan_inputs import PlanInputs
from campaign.plan_requests import OperationPart
from campaign.plan_sources import CodePart
from campaign.plan_steps import think_time
from campaign.plan_types import ENVIRONMENT_REFERENCE
from stress_scenarios.load_plan import (
    HTTP,
    NO_CODE,
    FeederSpec,
    HeaderField,
    NoBody,
    NoCode,
    OperationSpec,
    PythonScenario,
    Stage,
    TargetSpec,
    Variable,
    sessions_are_scripted,
)

NO_LIMIT_S = 600.0
"""No operation lasts longer, so this is no limit of its own."""

SUCCESSFUL_STATUSES = tuple(range(200, 400))
"""What counts as success unless somebody says otherwise."""


class SecretError(ValueError):
    """A header refers to an environment variable that is not set, or whose value no header can hold."""


def target_spec(plan: Plan, pinned: PinnedTarget) -> TargetSpec:
    """The target with its pinned address; secrets stay references."""
    return TargetSpec(
        name=plan.target.name,
        url=pinned.url,
        address=pinned.address,
        port=pinned.port,
        headers=_header_fields(plan.target.headers),
        ca_file=plan.target.ca_file,
        connect_s_max=_or_no_limit(plan.target.connect_s_max),
        first_byte_s_max=_or_no_limit(plan.target.first_byte_s_max),
    )


def _or_no_limit(seconds: float | None) -> float:
    return NO_LIMIT_S if seconds is None else seconds


def operation_specs(plan: Plan) -> tuple[OperationSpec, ...]:
    """What sessions do, in the plan's order, without what the tags leave out; secrets stay references.

    With Python code: the names that it may count operations under.
    """
    if plan.code is not None:
        return tuple(_code_spec(name, plan.code) for name in plan.code.operations)
    return tuple(_operation_spec(operation) for operation in plan.operations)


def variable_specs(plan: Plan) -> tuple[Variable, ...]:
    """What every session begins with."""
    return tuple(Variable(name=name, value=value) for name, value in plan.variables.items())


def feeder_specs(plan: Plan, inputs: PlanInputs) -> tuple[FeederSpec, ...]:
    """The feeders, each with the hash of its file as it was seen."""
    return tuple(
        FeederSpec(
            name=name,
            path=part.file,
            sha256=inputs.feeders[name].sha256,
            format=part.format,
            order=part.feeder_order,
        )
        for name, part in plan.feeders.items()
    )


def code_spec(plan: Plan, inputs: PlanInputs) -> NoCode | PythonScenario:
    """The Python code of the sessions, if they have any."""
    if plan.code is None:
        return NO_CODE
    code = plan.code.entry_point if plan.code.file is None else plan.code.file
    assert code is not None, "code has one place"
    return PythonScenario(code=code, sha256=inputs.code_sha256)


def is_scripted(plan: Plan) -> bool:
    """Whether sessions do more than repeat requests that are known beforehand, which takes the generator more time."""
    if plan.code is not None or plan.variables or plan.feeders:
        return True
    return sessions_are_scripted(operation_specs(plan), variables=(), feeders=(), code=NO_CODE)


def think_s_mean(plan: Plan) -> float:
    """How long a session of the plan pauses after an operation of the mix, on average, seconds."""
    mix = [operation for operation in plan.operations if operation.when is Stage.MIX]
    weights = sum(operation.weight for operation in mix)
    pauses = sum(operation.weight * operation.think.seconds_mean for operation in mix if operation.think is not None)
    return pauses / weights if weights else 0.0


def with_secrets(target: TargetSpec, environ: Mapping[str, str]) -> TargetSpec:
    """The target as a worker needs it. Raises SecretError. The result is never stored."""
    return dataclasses.replace(target, headers=_resolved_fields(target.headers, environ))


def operations_with_secrets(
    operations: tuple[OperationSpec, ...], environ: Mapping[str, str]
) -> tuple[OperationSpec, ...]:
    """The mix as a worker needs it. Raises SecretError. The result is never stored."""
    return tuple(
        dataclasses.replace(operation, headers=_resolved_fields(operation.headers, environ)) for operation in operations
    )


def secret_names(target: TargetSpec, operations: tuple[OperationSpec, ...]) -> tuple[str, ...]:
    """The environment variables that headers refer to, each once; their values have no place in a log."""
    fields = [*target.headers, *(header for operation in operations for header in operation.headers)]
    return tuple(dict.fromkeys(name for header in fields for name in ENVIRONMENT_REFERENCE.findall(header.value)))


def _operation_spec(operation: OperationPart) -> OperationSpec:
    return OperationSpec(
        name=operation.name,
        weight=operation.weight,
        method=operation.method,
        path=operation.path,
        headers=_header_fields(operation.headers),
        body=operation.payload,
        expected_status=operation.statuses,
        body_contains=operation.contains,
        timeout_s=operation.timeout_s,
        stage=operation.when,
        extractions=tuple(part.extraction for part in operation.extract),
        checks=tuple(part.check for part in operation.checks),
        think=think_time(operation.think),
        kind=HTTP if operation.websocket is None else operation.websocket.request,
        redirects_max=operation.redirects_max,
    )


def _code_spec(name: str, code: CodePart) -> OperationSpec:
    return OperationSpec(
        name=name,
        weight=1.0,
        method="GET",
        path="/",
        headers=(),
        body=NoBody(),
        expected_status=SUCCESSFUL_STATUSES,
        body_contains=(),
        timeout_s=code.timeout_s,
        stage=Stage.CODE,
    )


def _header_fields(headers: Mapping[str, str]) -> tuple[HeaderField, ...]:
    return tuple(HeaderField(name=name, value=value) for name, value in headers.items())


def _resolved_fields(headers: tuple[HeaderField, ...], environ: Mapping[str, str]) -> tuple[HeaderField, ...]:
    return tuple(_resolved(header, environ) for header in headers)


def _resolved(header: HeaderField, environ: Mapping[str, str]) -> HeaderField:
    names = ENVIRONMENT_REFERENCE.findall(header.value)
    secrets = {name: _secret(header.name, name, environ) for name in names}
    try:
        register_secrets(secrets.values())
    except RedactionError as error:
        raise SecretError(f"header {header.name}: {error}") from error
    return HeaderField(
        name=header.name,
        value=ENVIRONMENT_REFERENCE.sub(lambda found: secrets[found[1]], header.value),
        secrets=tuple(secrets.values()),
    )


def _secret(header: str, name: str, environ: Mapping[str, str]) -> str:
    """The variable's value. Raises SecretError, which never quotes it, for one that cannot be sent in a header."""
    secret = environ.get(name, "")
    if not secret:
        raise SecretError(
            f"header {header} refers to the environment variable {name}, which is not set or is empty: export it"
        )
    if secret != secret.strip():
        raise SecretError(
            f"header {header}: the environment variable {name} begins or ends with a blank or a line break, which no "
            f"header may: export {name} without it"
        )
    if not secret.isascii() or not secret.isprintable():
        raise SecretError(
            f"header {header}: the environment variable {name} holds characters that no header can: "
            f"export {name} in printable ASCII"
        )
    return secret
