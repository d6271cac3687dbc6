"""Refuses changes of containers in namespaces that belong to another engine, such as Docker's."""

from __future__ import annotations

from core import errors
from core.model.refs import Ref
from runtimes.containerd import decode
from runtimes.containerd.client import FAILED_PRECONDITION

_OWNER_NAMES = {"docker": "Docker", "cri": "Kubernetes"}


def owner_refusal(target: Ref, change: str) -> errors.Rejected | None:
    """Returns why a container of another engine is not started or removed here; None if it belongs to no engine."""
    kind = decode.NAMESPACE_OWNERS.get(decode.split_id(target.id)[0], "")
    owner = _OWNER_NAMES.get(kind)
    if owner is None:
        return None
    if kind == "cri" and change == "start":
        # CRI cannot start a container again.
        cure = "the kubelet starts a new container if the pod's restart policy allows it"
    else:
        cure = f"add the engine of kind {kind} to `engines` in quarterdeck.yaml, and use it"
    return errors.Rejected(
        FAILED_PRECONDITION, f"{target.name} belongs to {owner}, and only {owner} can {change} it: {cure}."
    )
