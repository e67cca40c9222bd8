"""Orders for tests: complete ones, of which a test names only what it is about."""

from dataclasses import dataclass, replace

from stress_scenarios.load_plan import (
    HeaderField,
    LoadOrder,
    NoBody,
    OperationSpec,
    Paced,
    TargetSpec,
    TextBody,
    Unpaced,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation of which only the interesting is said."""

    path: str = "/"
    method: str = "GET"
    weight: float = 1.0
    expected_status: tuple[int, ...] = (200,)
    body_contains: tuple[str, ...] = ()
    headers: tuple[HeaderField, ...] = ()
    body: NoBody | TextBody = NoBody()  # noqa: RUF009 - frozen
    timeout_s: float = 5.0

    @property
    def spec(self) -> OperationSpec:
        """The whole operation."""
        return OperationSpec(
            name=f"{self.method} {self.path}",
            weight=self.weight,
            method=self.method,
            path=self.path,
            headers=self.headers,
            body=self.body,
            expected_status=self.expected_status,
            body_contains=self.body_contains,
            timeout_s=self.timeout_s,
        )


def target_at(port: int, *, scheme: str = "http", host: str = "127.0.0.1", ca_file: str = "") -> TargetSpec:
    """A target on this machine."""
    return TargetSpec(
        name="target",
        url=f"{scheme}://{host}:{port}",
        address="127.0.0.1",
        port=port,
        headers=(),
        ca_file=ca_file,
    )


def an_order(
    *operations: Operation,
    port: int = 9,
    segment: int = 0,
    connections: int = 1,
    connection_offset: int = 0,
    connections_total: int = 0,
    per_session: int = 10,
    rate: float = 10.0,
    ramp_s: float = 0.0,
    hold_s: float = 1.0,
    drain_s: float = 2.0,
    response_bytes_max: int = 1 << 20,
    seed: int = 0,
) -> LoadOrder:
    """A paced order; connections_total is the worker's own connections unless said."""
    return LoadOrder(
        segment=segment,
        target=target_at(port),
        operations=tuple(operation.spec for operation in operations or (Operation(),)),
        connections=connections,
        connection_offset=connection_offset,
        connections_total=connections_total or connection_offset + connections,
        operations_per_session=per_session,
        pace=Paced(operations_per_s=rate),
        ramp_s=ramp_s,
        hold_s=hold_s,
        drain_s=drain_s,
        response_bytes_max=response_bytes_max,
        seed=seed,
    )


def unpaced(order: LoadOrder) -> LoadOrder:
    """The same order without a pace."""
    return replace(order, pace=Unpaced())
