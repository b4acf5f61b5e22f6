"""One gateway with listeners of every kind side by side, each behind a tap, and topics that all brokers lead."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.canary import Canaries
from tests.integration.gateway import Gateway, manifest
from tests.integration.security import Security
from tests.integration.tap import Tap
from tests.integration.tls_tap import TlsTap
from tests.integration.world import (
    CLIENT_HOST,
    CREATE_SECONDS,
    GATEWAY_HOST,
    GROUP_MARKER,
    MARKER,
    Account,
    contiguous_ports,
)
from tests.kafka import Cluster, wire
from tests.kafka.waiting import wait_until
from tests.pki import Authority, Pair
from tests.tokens import AUDIENCE, ISSUER, Signer, key_set

PROBE_SECONDS: Final = 10.0

ZONE: Final = "secure-zone"
USER: Final = "secure"

BEARER_ZONE: Final = "secure-bearer-zone"
BEARER: Final = "secure-bearer"

JAVA_HOST: Final = "gateway.test"
"""Known to Java through a file of its own: see `hosts`."""

NATIVE_HOST: Final = "0x7f.1"
"""A spelling of 127.0.0.1 that is no address to TLS, and that a system's resolver understands without being asked
to know any name."""

NATIVE_PATTERN: Final = "0x7f.0.{id}"
"""127.0.0.<id>, in the same spelling."""


class TlsFront:
    """Accounts by listener: `account("ports")` and so on. A context manager."""

    def __init__(self, kafka: Cluster, canaries: Canaries, folder: Path, topics: Sequence[str]) -> None:
        self.brokers = tuple(kafka.broker_ids)
        self.topics = topics
        self._canaries = canaries
        self.authority = Authority(folder)
        self.next_authority = Authority(folder, "next-authority")
        both = folder / "both-authorities.pem"
        both.write_bytes(self.authority.file.read_bytes() + self.next_authority.file.read_bytes())
        span = max(self.brokers) - min(self.brokers) + 1
        plain, tls, (java, native, for_java, for_native, admin) = _ports(1 + span, 1 + span, 5)
        self._ports = {"plaintext": plain[0], "ports": tls[0], "sni-java": java, "sni-native": native}
        self.pair = self.authority.issue("gateway", CLIENT_HOST, JAVA_HOST, NATIVE_HOST, *self._broker_names())
        listeners = [
            self._listener("plaintext", "SASL_PLAINTEXT", plain[0], CLIENT_HOST, **self._broker_ports(plain[1])),
            self._listener("ports", "SASL_SSL", tls[0], CLIENT_HOST, **self._broker_ports(tls[1])),
            self._listener("sni-java", "SASL_SSL", for_java, JAVA_HOST, **_names(java)),
            self._listener("sni-native", "SASL_SSL", for_native, NATIVE_HOST, **_names(native, NATIVE_PATTERN)),
        ]
        self._keys = folder / "keys.json"
        self._signer = Signer("one", "ES256")
        self._keys.write_bytes(key_set(self._signer.jwk()))
        self._token = folder / "token"
        self._token.write_text(self._signer.token(BEARER), encoding="ascii")
        oauth = {"jwks": str(self._keys), "issuer": ISSUER, "audience": AUDIENCE}
        self.gateway = Gateway(
            kafka.bootstrap,
            self.brokers,
            GATEWAY_HOST,
            CLIENT_HOST,
            [*plain, admin],
            settings={"listeners": listeners, "oauth": oauth},
        )
        natives = [CLIENT_HOST, *(f"127.0.0.{broker}" for broker in self.brokers)]
        ways = {(CLIENT_HOST, port): port for port in tls}
        ways |= {(CLIENT_HOST, java): for_java}
        ways |= {(host, native): for_native for host in natives}
        # What clients of the tap see of it is another certificate than the gateway's, which changes in tests.
        shown = self.authority.issue("tap", CLIENT_HOST, JAVA_HOST, NATIVE_HOST, *self._broker_names())
        self._taps = [
            Tap(CLIENT_HOST, GATEWAY_HOST, plain, canaries),
            TlsTap(ways, GATEWAY_HOST, canaries, shown, both),
        ]
        self.hosts = folder / "hosts"
        java_names = [JAVA_HOST, *(f"broker{broker}-{JAVA_HOST}" for broker in self.brokers)]
        self.hosts.write_text("".join(f"{CLIENT_HOST} {name}\n" for name in ["localhost", *java_names]))
        self._create_topics(kafka)
        self._password = ""
        self._stack = ExitStack()

    def _broker_names(self) -> Iterator[str]:
        for broker in self.brokers:
            yield f"broker{broker}-{JAVA_HOST}"
            yield NATIVE_PATTERN.replace("{id}", str(broker))

    def _broker_ports(self, start: int) -> dict[str, Any]:
        return {"broker_ports": {"start": start, "min_broker_id": min(self.brokers)}}

    def _listener(self, name: str, protocol: str, port: int, advertised: str, **more: Any) -> Mapping[str, Any]:
        address = f"[{GATEWAY_HOST}]:{port}" if ":" in GATEWAY_HOST else f"{GATEWAY_HOST}:{port}"
        listener = {"name": name, "listen": address, "security_protocol": protocol, "advertised_host": advertised}
        if protocol != "SASL_PLAINTEXT":
            more["tls"] = {"certificate": str(self.pair.certificate), "key": str(self.pair.key)}
        return listener | more

    def _create_topics(self, kafka: Cluster) -> None:
        """With a partition for each broker to lead."""
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        names = [MARKER + alias for alias in self.topics]
        count = len(self.brokers)
        for future in admin.create_topics([NewTopic(name, count, count) for name in names]).values():
            future.result(CREATE_SECONDS)
        addresses = [kafka.broker_address(broker) for broker in self.brokers]

        def all_led() -> bool:
            for address in addresses:
                led = {
                    str(topic.name): {partition.leader_id for partition in topic.partitions}
                    for topic in wire.metadata(address).topics
                }
                if any(led.get(name, set()) != set(self.brokers) for name in names):
                    return False
            return True

        wait_until(all_led, "partitions on every broker", CREATE_SECONDS)

    def __enter__(self) -> Self:
        rows = [(alias, MARKER + alias, "WRITE") for alias in self.topics]
        self.gateway.write_zone(manifest(ZONE, USER, rows))
        self.gateway.write_zone(manifest(BEARER_ZONE, BEARER, rows, "OAUTHBEARER"))
        self._canaries.add(f"{ZONE}:{GROUP_MARKER}", f"the prefix of groups of {ZONE}")
        self._canaries.add(f"{ZONE}:", f"the name of {ZONE}, another zone", USER)
        self._password = self.gateway.new_password(ZONE)
        self._stack.callback(self.gateway.remove)
        for tap in self._taps:
            tap.start()
            self._stack.callback(tap.stop)
        try:
            self.gateway.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def account(self, listener: str, mechanism: str = "PLAIN") -> Account:
        """The zone's account at one of the listeners; that of the zone with tokens for OAUTHBEARER."""
        host = {"sni-java": JAVA_HOST, "sni-native": NATIVE_HOST}.get(listener, CLIENT_HOST)
        security = Security("SASL_PLAINTEXT", mechanism)
        if listener != "plaintext":
            security = Security("SASL_SSL", mechanism, self.authority.file)
        bootstrap = f"{host}:{self._ports[listener]}"
        if mechanism == "OAUTHBEARER":
            return Account(bootstrap, BEARER_ZONE, BEARER, "", replace(security, token=self._token))
        return Account(bootstrap, ZONE, USER, self._password, security)

    def brokers_reached(self, listener: str, since: int) -> set[int]:
        """The brokers to which connections of a listener have led that have ended, after so many log lines."""
        return {
            line["broker"]
            for line in self.gateway.log()[since:]
            if line.get("event") == "connection_end" and line["listener"] == listener and line["broker"] is not None
        }

    def certificate_shown(self, authority: Authority) -> bytes:
        """To a new client, which trusts this authority, of the listener with ports; as DER. Straight to the gateway."""
        with (
            socket.create_connection((GATEWAY_HOST, self._ports["ports"]), PROBE_SECONDS) as raw,
            authority.client_context().wrap_socket(raw, server_hostname=JAVA_HOST) as client,
        ):
            shown = client.getpeercert(binary_form=True)
        assert shown is not None
        return shown

    def new_pair(self, authority: Authority) -> Pair:
        """Another certificate with its key, for the same names, to take the place of `pair`."""
        return authority.issue("next", CLIENT_HOST, JAVA_HOST, NATIVE_HOST, *self._broker_names())


def _names(port: int, pattern: str = "broker{id}-{advertised_host}") -> dict[str, Any]:
    return {"routing": "sni", "sni": {"pattern": pattern, "advertised_port": port}}


def _ports(*counts: int) -> Iterator[list[int]]:
    ports = contiguous_ports(sum(counts))
    for count in counts:
        yield ports[:count]
        ports = ports[count:]
