"""What partners are doing, as a test wants it to look."""

from controlplane.zone_activity import GatewayTraffic, ZoneActivity


class MemoryActivity:
    """Satisfies `controlplane.zone_activity.Activity`."""

    def __init__(self) -> None:
        self.problem = ""
        self.zones: dict[str, ZoneActivity] = {}
        self.gateways: dict[tuple[str, int | None], GatewayTraffic] = {}

    def zone(self, name: str) -> ZoneActivity:
        return self.zones.get(name, ZoneActivity())

    def gateway(self, gateway: str, worker: int | None) -> GatewayTraffic:
        return self.gateways.get((gateway, worker), GatewayTraffic())
