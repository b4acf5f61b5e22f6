"""The section `limits` of the settings. Defaults and reasons are those of `proxy.config.Limits`."""

from typing import Annotated, Final

from pydantic import Field

from controlplane.settings_fields import Number, Section
from proxy.config import Limits

_DEFAULT: Final = Limits()

Count = Annotated[int, Number, Field(ge=1)]
Size = Annotated[int, Number, Field(ge=1024)]
"""Bytes. Less than a kilobyte holds no request with a topic's name in it."""
Seconds = Annotated[float, Number, Field(gt=0, allow_inf_nan=False)]
Delay = Annotated[float, Number, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Number, Field(gt=0, allow_inf_nan=False)]


class LimitSettings(Section):
    """What bounds clients, each alone and all together."""

    connections: Count = _DEFAULT.connections
    connections_per_address: Count = _DEFAULT.connections_per_address
    connections_per_zone: Count = _DEFAULT.connections_per_zone
    connection_rate_per_address: Rate = _DEFAULT.connection_rate_per_address
    connection_burst_per_address: Count = _DEFAULT.connection_burst_per_address
    frame_bytes_before_authentication: Size = _DEFAULT.frame_bytes_before_authentication
    frame_bytes: Size = _DEFAULT.frame_bytes
    request_bytes: Size = _DEFAULT.request_bytes
    request_elements: Count = _DEFAULT.request_elements
    assembly_bytes: Size = _DEFAULT.assembly_bytes
    assembly_bytes_per_zone: Size = _DEFAULT.assembly_bytes_per_zone
    assembly_bytes_before_authentication: Size = _DEFAULT.assembly_bytes_before_authentication
    pending_bytes: Size = _DEFAULT.pending_bytes
    requests_in_flight: Count = _DEFAULT.requests_in_flight
    handshake_seconds: Seconds = _DEFAULT.handshake_seconds
    authentication_seconds: Seconds = _DEFAULT.authentication_seconds
    failed_authentication_delay_seconds: Delay = _DEFAULT.failed_authentication_delay_seconds
    partial_frame_seconds: Seconds = _DEFAULT.partial_frame_seconds
    partial_frame_bytes_per_second: Count = _DEFAULT.partial_frame_bytes_per_second
    idle_seconds: Seconds = _DEFAULT.idle_seconds
    half_closed_seconds: Seconds = _DEFAULT.half_closed_seconds
    burst_seconds: Seconds = _DEFAULT.burst_seconds
    close_seconds: Seconds = _DEFAULT.close_seconds

    def limits(self) -> Limits:
        return Limits(**self.model_dump())
