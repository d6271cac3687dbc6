"""The JSON of `quarterdeck do --json`: docs/json.md and its JSON Schema are made from the code, and a field may go only
with a new version."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from bot.dispatch import json_schema
from commands.catalogue import load_catalogue
from tests.helpers.paths import ROOT

SCHEMA, PAGE = ROOT / "docs/json.schema.json", ROOT / "docs/json.md"
HEAD = """# JSON for programs

This page and [its JSON Schema](json.schema.json) are generated from the code by `make golden`. Tests check the replies
to every example of every command against the schema.

`quarterdeck do --json` prints one JSON object on one line. The exit code is the same as without `--json`.

```console
$ quarterdeck do --json "ps -a" | jq -r '.records[] | select(.state == "exited") | [.name, .exit_code] | @tsv'
$ quarterdeck do --json "images" | jq '[.records[].size] | add'
$ quarterdeck do --json "events --since 1h" | jq -c '.records[] | select(.kind == "died") | .subject.name'
```

| field | type | meaning |
|---|---|---|
| `v` | integer | the version of these fields: 2 |
| `schema` | string | the command, and the version of its records, such as `ps/1`; empty for a refusal or a question |
| `ending` | string | the result of the command; the exit code depends on it |
| `took` | number | how long the command ran, in seconds |
| `records` | array | what the command returned, one object for each row; the tables below list their fields |
| `errors` | array | each engine or target without a result: `engine`, `message` and `hint` |
| `left_out` | integer | number of omitted records: the reply was too large, or was not searched for secrets in time |
| `blocks` | array | the reply as people see it, as text; it may change at any time |
| `buttons` | array | the choices of a question: `label`, the command `line`, and `danger` |
| `names` | object | the names of the Slack people, groups and channels in `blocks`, by id |

- Sizes are bytes, durations are seconds, percentages are of one CPU or of the limit. Ids are complete.
- Times are RFC 3339 in UTC. An unknown time is `null`, and so is a number that the engine does not report.
- `engine` is the engine as in the option `--engine`, such as `docker/prod-1`. A result without its own id has the
  `target` of its action.
- Secrets are masked as in every reply. If the reply itself is a secret, such as a join token, it has no records.
- The records are the rows that the command shows to people. `ps` lists running containers, `ps -a` all of them.
- A new field may appear at any time. If a field is removed or changes its meaning, the command's version increases.

## Commands

| command | schema | records |
|---|---|---|
"""


def schema() -> dict[str, Any]:
    return json_schema.SchemaMaker().document(load_catalogue())


def page(document: Mapping[str, Any]) -> str:
    """docs/json.md: the commands, then the fields of each record."""
    lines = [HEAD.rstrip()]
    for choice in document["allOf"]:
        name, items = choice["if"]["properties"]["schema"]["const"], choice["then"]["properties"]["records"]["items"]
        lines.append(f"| `{name.partition('/')[0]}` | `{name}` | {type_of(items)} |")
    lines += ["", "## Records", ""]
    for name, definition in document["$defs"].items():
        lines += [f"### {name}", "", "| field | type |", "|---|---|"]
        required = definition["required"]
        for field, described in definition["properties"].items():
            lines.append(f"| `{field}` | {type_of(described)}{'' if field in required else ', may be absent'} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def type_of(described: Mapping[str, Any]) -> str:
    if "$ref" in described:
        name = described["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in described:
        return " or ".join(map(type_of, described["anyOf"]))
    if "enum" in described:
        return "one of " + ", ".join(f"`{each}`" for each in described["enum"])
    if described.get("format") == "date-time":
        return "time or null"
    kind = described.get("type", "any")
    if kind == "array":
        return f"array of {type_of(described['items'])}" if "items" in described else "array"
    if kind == "object" and "additionalProperties" in described:
        return f"object of {type_of(described['additionalProperties'])}"
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{text}, {described['description']}" if "description" in described else text


def test_the_schema_and_its_page_are_as_the_code_is() -> None:
    document = schema()
    jsonschema.Draft202012Validator.check_schema(document)
    written = json.dumps(document, indent=1) + "\n"
    if os.environ.get("GOLDEN"):
        before = json.loads(SCHEMA.read_text()) if SCHEMA.exists() else {}
        assert removed(before, document) == [], "raise the json_version of these commands"
        SCHEMA.write_text(written)
        PAGE.write_text(page(document))
    assert SCHEMA.read_text() == written, "make golden, and read the difference"
    assert PAGE.read_text() == page(document)


def removed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The schemas, such as `ps/1`, of which a field was removed or has another type, though their version is the
    same."""
    known, now = _fields(before), _fields(after)
    return [name for name in known.keys() & now.keys() if known[name].items() - now[name].items()]


def _fields(document: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The fields of each command's records, also those inside others, with their types."""
    definitions = document.get("$defs", {})
    found: dict[str, dict[str, str]] = {}
    for choice in document.get("allOf", ()):
        fields: dict[str, str] = {}
        _walk("", choice["then"]["properties"]["records"]["items"], definitions, fields, ())
        found[choice["if"]["properties"]["schema"]["const"]] = fields
    return found


def _walk(
    path: str, described: Any, definitions: Mapping[str, Any], fields: dict[str, str], inside: tuple[str, ...]
) -> None:
    if "$ref" in described:
        name = described["$ref"].rpartition("/")[2]
        if name not in inside:
            _walk(path, definitions[name], definitions, fields, (*inside, name))
        return
    for each in described.get("anyOf", ()):
        _walk(path, each, definitions, fields, inside)
    if "items" in described:
        _walk(f"{path}[]", described["items"], definitions, fields, inside)
    if "type" in described:
        fields[f"{path}:{json.dumps(described['type'])}"] = ""
    for name, each in described.get("properties", {}).items():
        _walk(f"{path}.{name}", each, definitions, fields, inside)


def test_a_field_goes_only_with_a_new_version() -> None:
    before = schema()
    after = json.loads(json.dumps(before))
    assert removed(before, after) == []
    del after["$defs"]["Port"]["properties"]["public"]
    assert set(removed(before, after)) >= {"ps/1", "services/1"}
    assert "images/1" not in removed(before, after)
    for choice in after["allOf"]:
        constant = choice["if"]["properties"]["schema"]
        constant["const"] = constant["const"].replace("/1", "/2")
    assert removed(before, after) == []
    more = json.loads(json.dumps(before))
    more["$defs"]["Port"]["properties"]["new"] = {"type": "string"}
    assert removed(before, more) == []


@pytest.mark.parametrize("command", list(load_catalogue()), ids=lambda command: command.name)
def test_every_command_says_what_its_records_are(command: Any) -> None:
    assert json_schema.record_types(command) or command.name in ("confirm", "cancel", "menu")
