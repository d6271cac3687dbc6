"""A registry in this process, for tests of what a registry may answer: logins, tokens, redirects, lies and limits."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TOKEN = "a-token-of-the-registry"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class RegistryServer:
    """`login`: USER:PASSWORD that it asks for, in the way `scheme`; `realm`: the server of tokens that it names;
    `refuse`: answers this to every request; `redirect`: where it sends readers of blobs; `asked`: the requests so far,
    as (method, path, authorization)."""

    def __init__(self) -> None:
        self.content: dict[str, tuple[str, bytes]] = {}
        self.tags: list[str] = []
        self.login, self.scheme, self.realm = "", "basic", ""
        self.refuse: web.Response | None = None
        self.redirect = ""
        self.claims: str | None = None
        self.asked: list[tuple[str, str, str]] = []
        self.host = ""

    async def __aenter__(self) -> RegistryServer:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._runner.cleanup()

    def add(self, path: str, tag: str = "1", platforms: Sequence[str] = ("linux/amd64",), **config: Any) -> str:
        """Puts an image there, with an index if it has several platforms. Returns the digest of the tag."""
        found = []
        for platform in platforms:
            system, machine = platform.split("/")[:2]
            blob = json.dumps(
                {"os": system, "architecture": machine, "created": "2024-01-02T03:04:05Z", "config": config}
            ).encode()
            layer = {"digest": digest_of(platform.encode()), "size": 4_200_000}
            body = json.dumps({"config": {"digest": digest_of(blob), "size": len(blob)}, "layers": [layer]}).encode()
            self.content[f"{path}/blobs/{digest_of(blob)}"] = ("application/json", blob)
            self.content[f"{path}/manifests/{digest_of(body)}"] = (MANIFEST, body)
            found.append((platform, body))
        kind, body = MANIFEST, found[0][1]
        if len(found) > 1:
            parts = [
                {
                    "digest": digest_of(one),
                    "size": len(one),
                    "platform": {"os": platform.split("/")[0], "architecture": platform.split("/")[1]},
                }
                for platform, one in found
            ]
            kind, body = INDEX, json.dumps({"manifests": parts}).encode()
        self.content[f"{path}/manifests/{digest_of(body)}"] = self.content[f"{path}/manifests/{tag}"] = (kind, body)
        self.tags.append(tag)
        return digest_of(body)

    async def _answer(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        self.asked.append((request.method, request.path, given))
        if request.path == "/token":
            return self._token(request, given)
        if self.refuse is not None:
            return web.Response(status=self.refuse.status, headers=dict(self.refuse.headers), body=self.refuse.body)
        if self.login and given not in (f"Bearer {TOKEN}", _basic(self.login)):
            return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401, headers=self._challenge())
        path = request.path.removeprefix("/v2/")
        if path.endswith("/tags/list"):
            return web.json_response({"tags": self.tags})
        if self.redirect and "/blobs/" in path:
            return web.Response(status=307, headers={"Location": self.redirect})
        kind, body = self.content.get(path, ("", b""))
        if not kind:
            return web.json_response({"errors": [{"message": "manifest unknown"}]}, status=404)
        headers = {"Docker-Content-Digest": self.claims or digest_of(body)} if self.claims != "" else {}
        return web.Response(body=body, content_type=kind, headers=headers)

    def _challenge(self) -> Mapping[str, str]:
        if self.scheme == "basic":
            return {"WWW-Authenticate": 'Basic realm="harbour"'}
        realm = self.realm or f"http://{self.host}/token"
        return {"WWW-Authenticate": f'Bearer realm="{realm}",service="harbour",scope="registry:catalog:*"'}

    def _token(self, request: web.Request, given: str) -> web.Response:
        self.scopes = request.query.getall("scope", [])
        if self.login and given != _basic(self.login):
            return web.Response(status=401)
        return web.json_response({"token": TOKEN, "expires_in": 300})


def _basic(login: str) -> str:
    return "Basic " + base64.b64encode(login.encode()).decode()
