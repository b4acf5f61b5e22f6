"""The REST API's calls over a real connection with TLS: what no server in memory can show."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.pki import Authority, Pair
from tests.unit.controlplane.commands.fake_api import KEY
from tests.unit.controlplane.test_cli import zonegate


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        allowed = self.headers["Authorization"] == f"Bearer {KEY}"
        self.send_response(200 if allowed else 401)
        self.end_headers()
        self.wfile.write(b"[]" if allowed else b'{"title": "Unauthorized"}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def client(authority: Authority) -> Pair:
    return authority.issue("client", common_name="client")


@pytest.fixture
def url(authority: Authority) -> Iterator[str]:
    """Of a server that wants a client certificate."""
    pair = authority.issue("server", "localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(pair.certificate, pair.key)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_certificates_of_both_sides(
    url: str, authority: Authority, client: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDK_CERT", str(client.certificate))
    monkeypatch.setenv("CDK_KEY", str(client.key))
    arguments = ("get", "PartnerZone", "-o", "json", "--url", url)

    result = zonegate(*arguments, "--ca", str(authority.file))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "[]\n", "")
    assert zonegate(*arguments, "--insecure").exit_code == 0

    result = zonegate(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"zonegate: {url} has a certificate that is not trusted (")
    assert "--ca FILE (or ZONEGATE_CA)" in result.stderr


def test_without_the_client_s_certificate(url: str, authority: Authority) -> None:
    result = zonegate("get", "PartnerZone", "--url", url, "--ca", str(authority.file))

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"zonegate: cannot reach {url}: ")
