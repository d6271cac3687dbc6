"""Lists, inspects and tags images, with the requests that Docker and Podman have in common.

Quarterdeck identifies an image by its id, but both engines remove and push an image by its name. So before a removal or
a push, `_check_same_image` makes sure that the name still belongs to the same image.
"""

from __future__ import annotations

import abc
import time
import urllib.parse

import msgspec

from core import errors
from core.model import images, registry_reads
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import Document, Outcome
from core.text import redact_json
from runtimes.base.base_adapter import does
from runtimes.base.registry_auth import Login
from runtimes.docker_like import decode, inspect_summaries, search_results
from runtimes.docker_like.client import HttpEngineClient, quoted_id
from runtimes.formats import image_history, image_reference, json_decoder, json_field_types

SEARCH_SECONDS = 20.0  # an engine itself waits longer for a registry that does not answer


class ImageIdentity(msgspec.Struct):
    """Holds the id and the names from an image's inspection. All are empty if the image does not exist."""

    id: str = msgspec.field(name="Id", default="")
    digest: str = msgspec.field(name="Digest", default="")
    tags: list[str] | None = msgspec.field(name="RepoTags", default=None)
    digests: list[str] | None = msgspec.field(name="RepoDigests", default=None)


class HistoryRow(msgspec.Struct):
    """Holds one step of the build of an image."""

    created: json_field_types.UnixSeconds = msgspec.field(name="Created", default=0)
    command: str = msgspec.field(name="CreatedBy", default="")
    size: json_field_types.Int64 = msgspec.field(name="Size", default=0)
    comment: str = msgspec.field(name="Comment", default="")


class ImageVerbs(HttpEngineClient, abc.ABC):
    """Implements list, inspection and tags of images."""

    @does(images.ListImages)
    async def list_images(self, action: images.ListImages, seconds: float) -> images.Images:
        path = "/images/json?all=true" if action.intermediate else "/images/json"
        response = await self._request("GET", path, seconds)
        return images.Images(rows=await decode.images(self.ref, response.body, self.skipped))

    @does(images.InspectImage)
    async def inspect_image(self, action: images.InspectImage, seconds: float) -> Document:
        target = action.target
        path = f"/images/{quoted_id(target)}/json"
        response = await self._request("GET", path, seconds, name=target.name, kind="image")
        data = redact_json.mask_env_values(json_decoder.decode_json_object(response.body))
        return Document(ref=target, data=data, summary=inspect_summaries.summarise_image(data))

    @does(images.ReadHistory)
    async def read_history(self, action: images.ReadHistory, seconds: float) -> images.ImageHistory:
        target = action.target
        path = f"/images/{quoted_id(target)}/history"
        response = await self._request("GET", path, seconds, name=target.name, kind="image")
        rows = json_decoder.decode_rows(HistoryRow, response.body, self.skipped)[: image_history.MAX_STEPS]
        return images.ImageHistory(
            rows=tuple(image_history.make_history_step(row.command, row.created, row.size, row.comment) for row in rows)
        )

    @does(registry_reads.SearchImages)
    async def search_images(self, action: registry_reads.SearchImages, seconds: float) -> registry_reads.FoundImages:
        query = urllib.parse.urlencode({"term": action.term, "limit": action.limit})
        found = await self.logins.find(action.term)
        headers = {"X-Registry-Auth": self._auth_header(found.login)} if found.login is not None else None
        allowed = min(seconds, SEARCH_SECONDS)
        try:
            response = await self._request("GET", f"/images/search?{query}", allowed, kind="registry", headers=headers)
        except errors.TimedOut as error:
            raise errors.TimedOut(
                f"{self.ref} did not answer the search for {action.term} within {allowed:.0f} s.",
                sent=False,
                hint=search_results.HINT,
            ) from error
        except errors.NotFound as error:
            raise search_results.search_error(action.term, error.message, found.hint) from error
        except errors.Rejected as error:
            raise search_results.search_error(action.term, error.text, found.hint) from error
        registry = image_reference.parse_image_reference(action.term).registry
        rows = search_results.decode_search_results(response.body, action.limit, self.skipped, registry=registry)
        return registry_reads.FoundImages(rows=rows)

    @abc.abstractmethod
    def _auth_header(self, login: Login) -> str:
        """The value of `X-Registry-Auth` for a login."""

    @does(images.TagImage)
    async def tag_image(self, action: images.TagImage, seconds: float) -> Outcome:
        began = time.monotonic()
        wanted = image_reference.parse_image_reference(action.tag)
        if (await self._find_image(str(wanted), seconds)).id == action.target.id:
            return Outcome(status=Status.NOOP, detail=f"had the name {wanted} already")
        await self._change_tag(action.target, "tag", wanted.repository, wanted.tag, seconds)
        return Outcome(status=Status.DONE, detail=str(wanted), took=time.monotonic() - began)

    async def _change_tag(self, target: Ref, verb: str, repository: str, tag: str, seconds: float) -> None:
        """`verb` is `tag` or `untag`."""
        query = urllib.parse.urlencode({"repo": repository, "tag": tag})
        path = f"/images/{quoted_id(target)}/{verb}?{query}"
        await self._request("POST", path, seconds, name=target.name, kind="image")

    async def _find_image(self, name: str, seconds: float) -> ImageIdentity:
        try:
            return await self._get_image(name, seconds)
        except errors.NotFound:
            return ImageIdentity()

    async def _get_image(self, name: str, seconds: float) -> ImageIdentity:
        """`name` is a name or an id. Raises NotFound."""
        path = f"/images/{quoted_name(name)}/json"
        response = await self._request("GET", path, seconds, name=name, kind="image")
        return json_decoder.decode_json(ImageIdentity, response.body)

    async def _check_same_image(self, target: Ref, seconds: float) -> None:
        """Raises NotFound if the name of `target` means another image by now."""
        if (await self._get_image(str(image_reference.parse_image_reference(target.name)), seconds)).id != target.id:
            raise errors.NotFound(
                f"Nothing was done, because the name {target.name} belongs to another image now.",
                hint="List the images with `images`, and give the command again.",
            )


def transfer_timed_out(name: str, seconds: float, progress: str = "") -> errors.TimedOut:
    """The error of a pull or a push that did not end in time."""
    return errors.TimedOut(
        f"The transfer of {name} did not end within {seconds:.0f} s{progress}.",
        sent=True,
        hint="Give the command again, with a longer --timeout: layers that were already transferred are not transferred"
        " again.",
    )


def is_referenced_by_id(ref: Ref) -> bool:
    """Whether `ref` is called by the image's id, because the image has no name or because all its names are meant."""
    return not ref.name or ref.id.rpartition(":")[2].startswith(ref.name.removeprefix("sha256:"))


def quoted_name(name: str) -> str:
    """An image's name as a part of a path."""
    return urllib.parse.quote(name, safe="/:@")
