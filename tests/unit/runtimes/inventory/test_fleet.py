"""Which things words mean: exact before prefix before id, hidden things do not exist, engines that are silent are
said."""

import pytest

from core import errors
from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref
from core.ports import Query
from runtimes.inventory import fleet

H1, H2 = EngineRef(host="h1", kind="docker"), EngineRef(host="h2", kind="docker")


def row(name, engine=H1, id_=None, **labels):
    ref = Ref(engine=engine, kind=Kind.CONTAINER, id=id_ or f"{abs(hash((name, engine.host))):064x}"[:64], name=name)
    return Container(
        ref=ref, image="i", image_id="", command="", state="running", status="", created_at=0, labels=labels
    )


ROWS = [
    row("web"),
    row("web-1", env="prod"),
    row("web-2", env="dev"),
    row("db", id_="feed" + "0" * 60),
    row("feeder"),
    row("api"),
    row("api", H2),
]


def select(*words, labels=(), rows=ROWS, missing=None, visible=lambda row: True):
    found = fleet.resolve(Query(names=words, labels=labels), fleet.FleetRows(rows=rows, missing=missing or {}), visible)
    return [f"{row.ref.name}@{row.ref.engine.host}" for row in found]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("web",), ["web@h1"]),
        (("d",), ["db@h1"]),
        (("feed0",), ["db@h1"]),
        (("feed",), ["feeder@h1"]),
        (("web-*",), ["web-1@h1", "web-2@h1"]),
        (("web-?", "web", "web-1"), ["web-1@h1", "web-2@h1", "web@h1"]),
        (("api@h2",), ["api@h2"]),
        (("api@docker/h1",), ["api@h1"]),
        (("db#feed",), ["db@h1"]),
        (("#feed0",), ["db@h1"]),
        (("db@h1#feed",), ["db@h1"]),
        (("api*",), ["api@h1", "api@h2"]),
    ],
)
def test_words(words, found):
    assert select(*words) == found


def test_labels_select_and_narrow():
    assert select(labels=("env",)) == ["web-1@h1", "web-2@h1"]
    assert select(labels=("env=p*",)) == ["web-1@h1"]
    assert select("web-*", labels=("env=dev",)) == ["web-2@h1"]
    with pytest.raises(errors.NotFound, match="--label team=x"):
        select(labels=("team=x",))


def test_an_ambiguous_name_is_refused_with_its_candidates():
    with pytest.raises(errors.Ambiguous) as caught:
        select("web-")
    assert caught.value.candidates == ("web-1", "web-2")
    with pytest.raises(errors.Ambiguous) as caught:
        select("api")
    assert caught.value.candidates == ("api@docker/h1", "api@docker/h2")


def test_a_typo_gets_a_suggestion_of_what_one_may_see():
    with pytest.raises(errors.NotFound, match="Did you mean .*web"):
        select("web_1")
    with pytest.raises(errors.NotFound) as caught:
        select("web_1", visible=lambda row: row.ref.name == "api")
    assert "web" not in caught.value.hint


def test_a_hidden_thing_is_not_found_word_for_word():
    def hidden(row):
        return row.ref.name != "db"

    with pytest.raises(errors.NotFound) as hidden_error:
        select("db", visible=hidden)
    with pytest.raises(errors.NotFound) as absent_error:
        select("db", rows=[row for row in ROWS if row.ref.name != "db"])
    assert hidden_error.value.full_message() == absent_error.value.full_message()


def test_an_engine_that_is_silent_is_said_rather_than_not_found():
    gone = {H2: errors.Unreachable("h2 is away.", hint="Start it.")}
    with pytest.raises(errors.Unreachable, match="did not answer"):
        select("nowhere", missing=gone)
    assert select("db", missing=gone) == ["db@h1"]
    with pytest.raises(errors.Unreachable):
        select("nope-*", missing=gone)


@pytest.mark.parametrize("word", ["", "#", "@h1", "@"])
def test_empty_words_name_nothing(word):
    with pytest.raises((errors.NotFound, errors.Ambiguous)):
        select(word)
