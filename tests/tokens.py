"""An identity provider for tests: its keys, its tokens, good and bad, and its JWK set, also over HTTP."""

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER = "https://login.example.com"
AUDIENCE = "zonegate"
LIFETIME_SECONDS = 300

_ALGORITHMS: Mapping[str, Any] = {
    "RS": jwt.algorithms.RSAAlgorithm,
    "PS": jwt.algorithms.RSAAlgorithm,
    "ES": jwt.algorithms.ECAlgorithm,
    "Ed": jwt.algorithms.OKPAlgorithm,
}
_CURVES: Mapping[str, Any] = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


class Signer:
    """One key of the provider."""

    def __init__(self, key_id: str, algorithm: str = "RS256", bits: int = 2048) -> None:
        self.id = key_id
        self.algorithm = algorithm
        self.key: Any
        if algorithm in _CURVES:
            self.key = ec.generate_private_key(_CURVES[algorithm]())
        elif algorithm == "EdDSA":
            self.key = ed25519.Ed25519PrivateKey.generate()
        else:
            self.key = rsa.generate_private_key(65537, bits)

    def jwk(self, **more: object) -> dict[str, Any]:
        """The public key's entry in a JWK set."""
        entry = _ALGORITHMS[self.algorithm[:2]].to_jwk(self.key.public_key(), as_dict=True)
        return {**{name: value for name, value in entry.items() if name != "key_ops"}, "kid": self.id, **more}

    def token(self, subject: str = "johndoe", *, headers: Mapping[str, Any] | None = None, **claims: object) -> str:
        """A token that is good but for what is said; a claim or header that is None is left out."""
        given = {"kid": self.id, **(headers or {})}
        headers = {name: value for name, value in given.items() if value is not None}
        payload = json.dumps(payload_of(subject, claims)).encode()
        return jwt.api_jws.encode(payload, self.key, self.algorithm, headers)

    def hmac_token(self, subject: str = "johndoe") -> str:
        """HS256 with the public key as the secret, in the hope that it is taken for one."""
        public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        signing_input = _part({"alg": "HS256", "kid": self.id}) + b"." + _part(payload_of(subject, {}))
        signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signing_input, public)
        return (signing_input + b"." + _b64(signature)).decode()

    def unsigned_token(self, subject: str = "johndoe") -> str:
        """`alg` none."""
        return b".".join((_part({"alg": "none", "kid": self.id}), _part(payload_of(subject, {})), b"")).decode()


def payload_of(subject: str, claims: Mapping[str, object]) -> dict[str, Any]:
    now = int(time.time())
    payload = {"sub": subject, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + LIFETIME_SECONDS, **claims}
    return {name: value for name, value in payload.items() if value is not None}


def _part(content: object) -> bytes:
    return _b64(json.dumps(content).encode())


def _b64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def key_set(*entries: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": entries}).encode()


class KeyServer:
    """Answers every GET with `status` and `body`, in threads of its own, and counts them."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.status = 200
        self.asked = 0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.asked += 1
                self.send_response(owner.status)
                self.send_header("Content-Length", str(len(owner.body)))
                self.end_headers()
                self.wfile.write(owner.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class calls it
                """Nothing to standard error."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="key-server")
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/keys"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
