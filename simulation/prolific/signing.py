"""Signed participant links, as Prolific describes them: a JWT under a key that it publishes."""

import json
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

HOLDS = timedelta(minutes=2)


class LinkSigner:
    def __init__(self, workspace: str) -> None:
        self._workspace = workspace

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwks(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**public, "kid": "fake-1", "alg": "RS256", "use": "sig", "key_ops": ["verify"]}]}

    def sign(self, url: str, *, now: datetime | None = None, **changed: Any) -> str:
        """The link with its `prolific_token`; `changed` claims make one that should not hold."""
        now = now or datetime.now(UTC)
        parameters = dict(parse_qsl(urlsplit(url).query))
        claims = {
            "iss": "https://www.prolific.com",
            "iat": now,
            "exp": now + HOLDS,
            "aud": url,
            "sub": parameters.get("SESSION_ID", ""),
            "prolific": {**parameters, "workspace_id": self._workspace},
        }
        token = jwt.encode({**claims, **changed}, self._key, algorithm="RS256", headers={"kid": "fake-1"})
        return f"{url}&prolific_token={token}"
