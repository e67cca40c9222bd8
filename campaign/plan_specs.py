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
from campaign.plan_requests import OperationPart
from campaign.plan_types import ENVIRONMENT_REFERENCE
from stress_scenarios.load_plan import HeaderField, OperationSpec, TargetSpec


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
    )


def operation_specs(plan: Plan) -> tuple[OperationSpec, ...]:
    """The mix in the plan's order; secrets stay references."""
    return tuple(_operation_spec(operation) for operation in plan.scenario)


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
