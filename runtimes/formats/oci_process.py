"""Builds the OCI description of a program to run in a container, from the container's own specification."""

from __future__ import annotations

from typing import Any

import msgspec

from core import errors
from core.model import inside_containers
from runtimes.formats import json_decoder


def encode_process(spec: bytes, action: inside_containers.Exec) -> bytes:
    """Encodes the process to run: the container's own process with another command. What the action does not say (the
    user, the working directory, the rights) stays the same; its variables are added to the environment. Raises
    InvalidResponse and BadUsage."""
    with json_decoder.reading(f"The specification of {action.target.name}"):
        process: dict[str, Any] = dict(json_decoder.decode_json_object(spec)["process"])
        process |= {"args": list(action.command), "terminal": False}
        process.pop("consoleSize", None)
        if action.workdir:
            process["cwd"] = action.workdir
        if action.environment:
            names = {name for name, _ in action.environment}
            own = [one for one in process.get("env") or () if str(one).partition("=")[0] not in names]
            process["env"] = [*own, *(f"{name}={value}" for name, value in action.environment)]
        if action.user:
            process["user"] = _user(action.user, action.target.name)
    return msgspec.json.encode(process)


def _user(text: str, name: str) -> dict[str, int]:
    """Parses `USER[:GROUP]`, both as numbers or `root`. `name`: the container's, for the error."""
    user, _, group = text.partition(":")
    user, group = ("0" if user == "root" else user), ("0" if group == "root" else group)
    if not user.isdecimal() or not (group or "0").isdecimal():
        raise errors.BadUsage(
            f"This engine accepts users only as numbers, not “{text[:32]}”.",
            hint="Write numbers, such as --user 1000 or --user 1000:1000. To see a user's numbers, give:"
            f" exec {name} id USER",
        )
    return {"uid": int(user), "gid": int(group or 0)}
