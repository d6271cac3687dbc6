# ruff: noqa: E501
"""Performs docs/recipes.md in a copy of the tree: its command, its metric family, its alert rule, its engine and its job."""

import asyncio
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from core.model import actions, background_jobs, replies, results
from core.ports import Call
from runtimes.base import base_adapter, jobs
from tests.fake_engine import engine as fake_engine
from tests.helpers.paths import ROOT

PACKAGES = ("bot", "collectors", "commands", "core", "runtimes")


def test_a_command_is_one_file(tmp_path):
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "docs/recipes.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "commands/containers/uptime.py").write_text(code)
    script = """
import asyncio
from datetime import UTC, datetime
from bot import plain_text
from bot.parsing import parser, usage
from commands.catalogue import load_catalogue
from commands.spec import Context, Result
from core.model.invocation import Identity, Place
from core.model.refs import EngineRef, Kind, Ref
from core.model.results import Document

class Find:
    async def find(self, query):
        return [Ref(engine=EngineRef("h", "docker"), kind=Kind.CONTAINER, id="a" * 64, name=word) for word in query.names]
    def engines(self, query):
        return [EngineRef("h", "docker")]

async def main():
    words = load_catalogue()
    for line in words.find("uptime").examples:
        parsed = parser.parse(line, words)
        context = Context(who=Identity(id="c:x", name="x"), place=Place(channel="c"), args=parsed.args, find=Find(),
                          now=datetime.now(UTC))
        plan = await parsed.command.plan(context)
        results = [Result(action=a, value=Document(ref=a.target, data={"State": {"StartedAt": "today"}})) for a in plan]
        print(plain_text.render(parsed.command.render(context, results)))
    print("uptime" in plain_text.render(await helped(words)))

async def helped(words):
    from core.model import bot_actions
    parsed = parser.parse("help", words)
    context = Context(who=Identity(id="c:x", name="x"), place=Place(channel="c"), args=parsed.args, find=Find(), now=None)
    plan = await parsed.command.plan(context)
    page = bot_actions.HelpPage(commands=tuple(usage.command_help(c) for c in words), topic="")
    return parsed.command.render(context, [Result(action=plan[0], value=page)])

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("today") == 2
    assert done.stdout.endswith("True\n")


def test_a_metric_family_is_one_file(tmp_path):
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (code,) = re.findall(r"```python scraper\n(.*?)```", (ROOT / "docs/recipes.md").read_text(), re.DOTALL)
    (tmp_path / "collectors/scrapers/ports.py").write_text(code)
    script = """
import time
from types import SimpleNamespace
from collectors import metric_list
from collectors.exposition import Exposition
from core import metrics
from core.metric_families import Format
from core.model.containers import Port
from core.model.refs import EngineRef, Kind, Ref

engine = EngineRef("h", "docker")
ports = (Port(private=80, public=8080), Port(private=443))
web = SimpleNamespace(ref=Ref(engine, Kind.CONTAINER, "1", "web"), created_at=0.0, ports=ports)
mirror = SimpleNamespace(
    ref=engine, containers={"1": web}, live=True, last_contact=time.time(), verbs={"container.list"}
)
page = Exposition(metrics.Metrics(), lambda: [mirror], only=["ports"])
print(page.render().decode())
print(page.render(Format.OPENMETRICS).decode())
print([family.name for family in metric_list.list_families()])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "# TYPE quarterdeck_published_ports gauge" in done.stdout
    assert 'quarterdeck_published_ports{host="h",engine="docker"} 1\n' in done.stdout
    assert done.stdout.count('quarterdeck_container_published_ports{host="h",engine="docker",name="web"} 1\n') == 2
    assert "'quarterdeck_container_published_ports'" in done.stdout
    assert 'quarterdeck_scraper_success{scraper="ports"} 1.0' in done.stdout


def test_an_alert_rule_is_one_file(tmp_path):
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (code,) = re.findall(r"```python rule\n(.*?)```", (ROOT / "docs/recipes.md").read_text(), re.DOTALL)
    (tmp_path / "collectors/rules/renamed.py").write_text(code)
    script = """
import time
from collectors.alert_evaluator import Evaluator
from collectors.rule_catalogue import load_rules
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref

web = Ref(EngineRef("h", "docker"), Kind.CONTAINER, "1", "web")
event = Event(time.time_ns(), EventKind.RENAMED, web, Origin.LIVE, "container", "rename", {"old_name": "old"})
Evaluator(load_rules(), lambda alert: print(alert.rule, alert.owner, alert.text)).observe([event], {})
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "renamed web it was renamed from old\n"


def test_an_engine_is_one_file_and_one_line_of_the_registry(tmp_path):
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "docs/recipes.md").read_text()
    (code,) = re.findall(r"```python3\n(.*?)```", text, re.DOTALL)
    (line,) = re.findall(r"```registry\n(.*?)```", text, re.DOTALL)
    (tmp_path / "runtimes/shelf").mkdir()
    (tmp_path / "runtimes/shelf/__init__.py").touch()
    (tmp_path / "runtimes/shelf/engine.py").write_text(code)
    table = tmp_path / "runtimes/engine_registry.py"
    before = table.read_text()
    table.write_text(
        before.replace("KINDS: Mapping[str, EngineKind] = {\n", "KINDS: Mapping[str, EngineKind] = {\n" + line)
    )
    assert table.read_text() != before
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "c1.json").write_text('{"name": "web", "image": "busybox:1", "state": "running"}')
    (tmp_path / "quarterdeck.yaml").write_text(
        f"state: {tmp_path}/state\nengines: [{{kind: shelf, url: 'file://{shelf}'}}]\n"
    )

    def do(*words, code=0):
        command = [sys.executable, "-c", "from bot.cli import main; main()", "do", "--json", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    assert '"web"' in do("ps")
    assert "shelf/" in do("engines")
    assert "has the logs" in do("logs web", code=2)
    found = subprocess.run(
        [sys.executable, "-c", "from runtimes import engine_discovery as discovery; import sys; print(discovery.discover({}, sys.argv[1]))", tmp_path],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "shelf" not in found.stdout
    (tmp_path / "run/shelf").mkdir(parents=True)
    found = subprocess.run(found.args, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "kind='shelf'" in found.stdout


@pytest.mark.looptime
async def test_what_outlives_a_call_is_a_method_that_begins_a_job():
    (code,) = re.findall(r"```py\n(.*?)```", (ROOT / "docs/recipes.md").read_text(), re.DOTALL)
    named = {
        **vars(actions),
        "actions": actions,
        "asyncio": asyncio,
        "does": base_adapter.does,
        "FakeRuntime": fake_engine.FakeRuntime,
    }
    named |= {
        "Job": jobs.Job,
        "Outcome": results.Outcome,
        "Started": background_jobs.JobStarted,
        "Status": replies.Status,
    }
    exec(code, named)
    engine = named["Patient"]()
    call = Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=30), invocation="t")
    begun = await engine.run(actions.Restart(engine=engine.ref, target=engine.add("web")), call)
    page, seen = background_jobs.JobPage(cursor=""), []
    while page.outcome is None:
        page = await engine.run(background_jobs.ReadJob(engine=engine.ref, job=begun.job, cursor=page.cursor), call)
        seen.append(page.progress)
    assert "3 of 3 run" in seen
    assert page.outcome == results.Outcome(status=replies.Status.DONE, detail="3 of 3 run")
    await engine.aclose()
