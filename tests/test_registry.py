"""Which models are audited, and how."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import models
from django_q.models import Schedule, Task

from auditwebhooks import registry as registry_module
from auditwebhooks.exceptions import RegistrationError
from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.registry import Options, Problem, Registry, register
from tests.testapp.models import (
    Account,
    Article,
    ArticleProxy,
    Book,
    Building,
    Cafe,
    Draft,
    Everything,
    House,
    Membership,
    Note,
    Place,
    Plain,
    Restaurant,
    Seat,
    Section,
    Tag,
    Team,
    Topic,
)

EVERY_ACTION = frozenset({"create", "update", "delete"})


@pytest.fixture
def empty(monkeypatch) -> Registry:
    """A registry of its own for ``register``."""
    registry = Registry()
    monkeypatch.setattr(registry_module, "registry", registry)
    return registry


def loaded(setting: dict) -> Registry:
    registry = Registry()
    registry.load(setting)
    return registry


def audited(registry: Registry) -> dict[type[models.Model], Options]:
    return dict(registry.models())


# --- options ------------------------------------------------------------------------------


def test_options_by_default():
    options = Options.parse({})
    assert options == Options()
    assert (options.fields, options.m2m, options.name) == (None, None, None)
    assert options.exclude == options.mask == frozenset()
    assert options.actions == EVERY_ACTION
    assert options.disguise == {}


def test_options_as_given():
    options = Options.parse(
        {
            "fields": ["a", "b"],
            "exclude": ("c",),
            "mask": {"a"},
            "m2m": frozenset(),
            "actions": ["create", "create"],
            "name": "café",
        }
    )
    assert options.fields == {"a", "b"}
    assert options.exclude == {"c"}
    assert options.mask == {"a"}
    assert options.m2m == frozenset()
    assert options.actions == {"create"}
    assert options.name == "café"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"field": []},
            "unknown option 'field'; known: actions, exclude, fields, m2m, mask, name",
        ),
        ({"b": 1, "a": 1}, "unknown option 'a', 'b'; known: "),
        ({"disguise": {}}, "unknown option 'disguise'; known: "),
        ({"mask": "iban"}, "option 'mask' must be a list of names"),
        ({"fields": None}, "option 'fields' must be a list of names"),
        ({"exclude": {"a": 1}}, "option 'exclude' must be a list of names"),
        ({"m2m": ["a", 5]}, "option 'm2m' must hold names (text) only"),
        ({"m2m": [["a"]]}, "option 'm2m' must hold names (text) only"),
        ({"actions": ["created"]}, "option 'actions' may hold create, delete, update"),
        ({"name": ""}, "option 'name' must be a text"),
        ({"name": 5}, "option 'name' must be a text"),
    ],
)
def test_unusable_options_are_refused_in_a_sentence(given, sentence):
    with pytest.raises(RegistrationError) as caught:
        Options.parse(given)
    assert str(caught.value).startswith(sentence)


# --- the setting --------------------------------------------------------------------------


def test_named_models_are_audited_with_their_options():
    registry = loaded({"testapp.Article": {"mask": ["title"]}, "auth.user": None})
    assert audited(registry) == {Article: Options(mask=frozenset({"title"})), User: Options()}
    assert registry.problems == []


def test_wildcard_of_an_app():
    registry = loaded({"testapp.*": {}})
    assert set(audited(registry)) == {
        Account,
        Article,
        Book,
        Building,
        Cafe,
        Draft,
        Everything,
        House,
        Membership,
        Note,
        Place,
        Plain,
        Restaurant,
        Seat,
        Section,
        Tag,
        Team,
        Topic,
    }


def test_star_leaves_out_bookkeeping():
    """Only what cannot be audited without an endless loop or a flood."""
    found = set(audited(loaded({"*": {}})))
    assert {Article, Place, User, Group, Permission} <= found
    own_and_queue = {
        model
        for label in ("auditwebhooks", "django_q", "sessions", "contenttypes")
        for model in apps.get_app_config(label).get_models()
    }
    assert {Event, Invocation, Webhook, Schedule, Task, Session, ContentType} <= own_and_queue
    assert found.isdisjoint(own_and_queue | {LogEntry, ArticleProxy})
    assert not any(model._meta.auto_created or model._meta.proxy for model in found)


@pytest.mark.parametrize("label", ["admin.*", "sessions.*", "contenttypes.*"])
def test_wildcard_of_a_bookkeeping_app_finds_nothing(label):
    assert audited(loaded({label: {}})) == {}


def test_bookkeeping_may_be_named():
    assert set(audited(loaded({"admin.LogEntry": {}, "sessions.Session": {}}))) == {
        LogEntry,
        Session,
    }


@pytest.mark.parametrize("order", [1, -1])
def test_named_model_goes_before_a_wildcard(order):
    entries = [("testapp.*", {}), ("testapp.Article", {"mask": ["title"]})]
    options = audited(loaded(dict(entries[::order])))
    assert options[Article].mask == {"title"}
    assert options[Place].mask == frozenset()


@pytest.mark.parametrize("order", [1, -1])
def test_wildcard_of_an_app_goes_before_the_star(order):
    """Else a mask would be lost by the order in which a dict was written."""
    entries = [("*", {}), ("testapp.*", {"mask": ["title"]})]
    options = audited(loaded(dict(entries[::order])))
    assert options[Article].mask == {"title"}
    assert options[User].mask == frozenset()


def test_wildcard_gives_way_to_registration_in_code():
    registry = Registry()
    registry.add(Article, Options(name="piece"))
    registry.load({"*": {}})
    assert audited(registry)[Article].name == "piece"


def test_named_model_goes_before_registration_in_code():
    registry = Registry()
    registry.add(Article, Options(name="piece"))
    registry.load({"testapp.Article": {"name": "text"}})
    assert audited(registry)[Article].name == "text"


def test_proxy_is_audited_as_its_concrete_model():
    registry = loaded({"testapp.ArticleProxy": {"name": "x"}})
    assert audited(registry) == {Article: Options(name="x")}


@pytest.mark.parametrize(
    "label",
    ["Article", "testapp.Nothing", "nothing.Article", "a.b.c", "", ".", ".*", "**", "nothing.*",
     "testapp.Art*", "*.Article", 5, None],
)  # fmt: skip
def test_unknown_name_is_a_problem(label):
    registry = loaded({label: {}})
    assert audited(registry) == {}
    assert [problem.label for problem in registry.problems] == [str(label)]


@pytest.mark.parametrize(
    "options",
    ["mask", 5, True, [], ["mask"], (), "", 0, {"mask"}, {5: []}, {"mask": "title"}, {"x": 1}],
)
def test_unusable_options_are_a_problem_and_no_exception(options):
    registry = loaded({"testapp.Article": options, "testapp.Place": {}})
    assert audited(registry) == {Place: Options()}
    assert [problem.label for problem in registry.problems] == ["testapp.Article"]


@pytest.mark.parametrize("label", ["django_q.Task", "django_q.Schedule", "django_q.*"])
def test_naming_the_queue_is_a_problem(label):
    registry = loaded({label: {}})
    assert audited(registry) == {}
    assert len(registry.problems) == 1


@pytest.mark.parametrize("label", ["auditwebhooks.Event", "auditwebhooks.Invocation"])
def test_own_log_tables_are_a_problem(label):
    registry = loaded({label: {}})
    assert audited(registry) == {}
    assert registry.problems == [
        Problem(
            label=label,
            reason="the delivery itself writes its rows: auditing it would never end",
        )
    ]


def test_own_configuration_may_be_audited():
    assert audited(loaded({"auditwebhooks.Webhook": {}})) == {Webhook: Options()}


# --- which options hold for a write -------------------------------------------------------


def test_write_is_recorded_under_the_most_derived_audited_class():
    registry = loaded({"testapp.Article": {}, "testapp.Place": {}, "testapp.Cafe": {"name": "c"}})
    assert registry.audited_as(Article) == (Article, Options())
    assert registry.audited_as(ArticleProxy) == (Article, Options())
    assert registry.audited_as(Place) == (Place, Options())
    assert registry.audited_as(Restaurant) == (Place, Options())
    assert registry.audited_as(Cafe) == (Cafe, Options(name="c"))
    assert registry.audited_as(Section) is None


def test_parent_is_not_audited_because_its_child_is():
    assert loaded({"testapp.Cafe": {}}).audited_as(Place) is None


def test_later_registration_is_seen():
    registry = Registry()
    assert registry.audited_as(Article) is None
    registry.add(Article, Options())
    assert registry.audited_as(Article) == (Article, Options())
    registry.add(ArticleProxy, Options(name="x"))
    assert registry.audited_as(Article) == (Article, Options(name="x"))


def test_listener_hears_of_models_known_and_added():
    registry = Registry()
    heard: list[type[models.Model]] = []
    registry.add(Article, Options())
    registry.on_add(heard.append)
    assert heard == [Article]
    registry.add(ArticleProxy, Options())
    registry.add(Place, Options())
    assert heard == [Article, Article, Place]


# --- register -----------------------------------------------------------------------------


def test_register_is_a_call_and_a_decorator_in_two_forms(empty):
    assert register(Article, mask=["title"]) is Article
    assert register(Place) is Place
    assert register(name="café")(Cafe) is Cafe
    assert register()(Section) is Section
    assert audited(empty) == {
        Article: Options(mask=frozenset({"title"})),
        Place: Options(),
        Cafe: Options(name="café"),
        Section: Options(),
    }


@pytest.mark.parametrize("options", [{"masc": ["title"]}, {"mask": "title"}, {"actions": ["x"]}])
def test_register_shows_unusable_options_by_a_problem(empty, options):
    assert register(Article, **options) is Article
    assert audited(empty) == {}
    assert [problem.label for problem in empty.problems] == ["Article"]


def test_abstract_model_is_a_problem(empty):
    class Base(models.Model):
        class Meta:
            abstract = True
            app_label = "testapp"

    assert register(Base) is Base
    assert audited(empty) == {}
    (problem,) = empty.problems
    assert problem.label.endswith("Base")
    assert problem.reason == "an abstract model has no rows"


def test_decorated_models_of_the_test_app_are_registered():
    options = dict(registry_module.registry.models())
    assert options[Cafe].name == "café"
    assert options[Draft].actions == {"create", "update"}
    assert ArticleProxy not in options


@pytest.mark.parametrize(
    "audit",
    [
        lambda fresh: fresh.load({"auth.User": {}}),
        # As in code, where the models of a package are known.
        lambda fresh: fresh.add(User, Options()),
    ],
)
def test_a_model_that_is_swapped_out_is_refused_with_what_stands_for_it(
    monkeypatch: pytest.MonkeyPatch, audit: Callable[[Registry], None]
) -> None:
    monkeypatch.setitem(vars(User._meta), "swapped", "people.Person")
    fresh = Registry()
    audit(fresh)

    assert list(fresh.models()) == []
    assert fresh.problems == [
        Problem(
            label="auth.User",
            reason="the project uses people.Person in its place: name that one",
        )
    ]


def test_options_for_a_proxy_beside_its_model_are_refused() -> None:
    fresh = Registry()
    fresh.load({"testapp.Article": {"exclude": ["text"]}, "testapp.ArticleProxy": {"name": "x"}})

    assert dict(fresh.models()) == {Article: Options(exclude=frozenset({"text"}))}
    [problem] = fresh.problems
    assert problem.reason == "its rows are those of testapp.Article, which is named too"
