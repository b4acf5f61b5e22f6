"""The desired state of one gateway's process, as it comes from the state topic."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from controlplane.activity.teller import Teller
from controlplane.desired import Serving
from controlplane.state.client import Identity, StateClient
from controlplane.state.heartbeats import Heartbeats
from controlplane.state.records import GatewayRecord
from controlplane.state.served import ServedState
from policies.credentials import Credential
from policies.zone import AuthenticationMode, Zone

_log = logging.getLogger("zonegate.configuration")


class TopicDesired:
    """`load` it before the gateway starts; `follow` from then on."""

    def __init__(
        self,
        client: StateClient,
        identity: Identity,
        admin: str | None,
        unusable_modes: Mapping[AuthenticationMode, str],
        teller: Teller,
    ) -> None:
        self._client = client
        self._teller = teller
        self._identity = identity
        self._unusable_modes = {str(mode): missing for mode, missing in unusable_modes.items()}
        self._served = ServedState(client.log, admin)
        self._heartbeats: Heartbeats | None = None

    @property
    def zones(self) -> Sequence[Zone]:
        return self._served.zones

    @property
    def credentials(self) -> Sequence[Credential]:
        return self._served.credentials

    def why_not_loaded(self) -> str:
        return self._client.why_not_loaded()

    async def load(self) -> None:
        """Raises UnusableTopic."""
        await self._client.follower.load()
        self._served.refresh()

    def report(self) -> None:
        counts = {"zones": len(self.zones), "credentials": len(self.credentials), "offset": self._served.applied}
        _log.info("configuration loaded", extra={"event": "configuration_loaded", **counts})

    async def follow(self, gateway: Serving, apply: Callable[[], None], serving: asyncio.Event) -> None:
        """Calls `apply` whenever there is something new to serve, and tells others of the gateway while it serves."""
        log = self._client.log
        self._heartbeats = heartbeats = Heartbeats(
            self._client.writer,
            lambda: self._describe(gateway),
            gateway.credentials_used,
            lambda credential: None if log.credential(credential) is None else log.last_used.get(credential, ""),
        )

        def changed() -> None:
            self._served.refresh()
            apply()
            heartbeats.soon()

        self._client.follower.on_change.append(changed)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._client.follower.run(), name="follow the state topic")
            await serving.wait()
            tasks.create_task(heartbeats.run(), name="tell that this gateway lives")
            tasks.create_task(self._teller.run(gateway.activity), name="tell what partners do")

    async def leave(self) -> None:
        if self._heartbeats is not None:
            await asyncio.gather(self._heartbeats.farewell(), self._teller.farewell())

    async def close(self, _gateway: Serving) -> None:
        if self._heartbeats is not None:
            await self._heartbeats.note_used()
        await self._client.close()

    def _describe(self, gateway: Serving) -> GatewayRecord:
        identity = self._identity
        return GatewayRecord(
            identity.gateway,
            identity.worker,
            identity.host,
            identity.version,
            identity.started,
            self._served.applied if not self._client.follower.emptied else -1,
            len(self.zones),
            gateway.connections,
            gateway.cluster_problems(),
            self._unusable_modes,
            {**gateway.zone_problems(), **self._served.refused},
        )
