"""Builds the policy from the configuration, with the protection of Quarterdeck's own container and store."""

from __future__ import annotations

from dataclasses import replace

from bot.access import own_container, protected_resources
from core.config import load
from core.model import policy


def build_configured_policy(settings: load.Config) -> policy.Policy:
    """Returns the policy without the grants that were given in chat."""
    url = settings.store.url.get_secret_value() if settings.store.url is not None else ""
    return replace(
        load.policy_from(settings),
        self_ids=own_container.find_own_container_ids(),
        self_name=own_container.container_id_prefix(),
        store_host=protected_resources.store_host(url),
    )
