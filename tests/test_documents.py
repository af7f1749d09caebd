"""The documents say what the code says: names, defaults, checks, commands, links."""

from __future__ import annotations

import ast
import importlib
import io
import json
import re
import unittest
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import load_command_class
from django.urls import URLPattern

import auditwebhooks
from auditwebhooks import admin, exceptions, metrics, models, signals, testing
from auditwebhooks.api.serializers import WebhookSerializer
from auditwebhooks.api.urls import urlpatterns
from auditwebhooks.conf import Conf
from auditwebhooks.enums import ActorType, Outcome, Source
from auditwebhooks.payload import DEFAULT_TEMPLATE, FIELDS
from auditwebhooks.registry import Options
from auditwebhooks.templating.filters import FILTERS
from benchmarks.peers.__main__ import PEERS
from tests.documents import (
    PAGES,
    ROOT,
    anchor,
    blocks,
    headings,
    links,
    page,
    rows,
    section,
    words,
)

PACKAGE = Path(auditwebhooks.__file__).parent
SETTINGS = {setting.key: setting for setting in Conf._settings()}


def readable(path: Path) -> str:
    return str(path.relative_to(ROOT))


pages = pytest.mark.parametrize("path", PAGES, ids=readable)


# --- links and code blocks ----------------------------------------------------------------


@pages
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in links(path.read_text()):
        if link.startswith(("https://", "http://")):
            continue
        name, _, place = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_file(), f"{link} in {readable(path)}"
        assert target.is_relative_to(ROOT), link
        if place:
            assert place in {anchor(one) for one in headings(target.read_text())}, link


def test_every_page_is_in_the_index() -> None:
    listed = {line for block in blocks(page("docs/index.md")) for line in block.text.split("\n")}
    own = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}

    assert own <= listed


@pages
def test_headings_of_a_page_differ(path: Path) -> None:
    """Else the anchors of the second ones would not be theirs."""
    found = [anchor(heading) for heading in headings(path.read_text())]
    if path.name != "CHANGELOG.md":
        assert len(found) == len(set(found))


def test_the_readme_has_no_link_into_itself() -> None:
    """PyPI makes no anchors of headings."""
    assert not [link for link in links(page("README.md")) if link.startswith("#")]


@pages
def test_code_can_be_read(path: Path) -> None:
    for block in blocks(path.read_text()):
        if block.language == "python":
            ast.parse(block.text)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "yaml":
            assert yaml.safe_load(block.text)
        elif block.language == "ini":
            unit = ConfigParser()
            # As systemd has it, whose names differ by case.
            unit.optionxform = str  # type: ignore[assignment,method-assign]
            unit.read_string(block.text)
            assert "ExecStart" in unit["Service"]


def test_what_the_python_of_the_documents_imports_is_there() -> None:
    for path in PAGES:
        for block in blocks(path.read_text(), "python"):
            for node in ast.walk(ast.parse(block.text)):
                if isinstance(node, ast.ImportFrom) and "auditwebhooks" in str(node.module):
                    module = importlib.import_module(str(node.module))
                    for name in node.names:
                        assert hasattr(module, name.name), f"{node.module}.{name.name}"


def test_the_quickstart_of_the_readme_is_short() -> None:
    lines = [
        line
        for block in blocks(section(page("README.md"), "Quickstart"))
        for line in block.text.splitlines()
    ]

    assert 5 <= len(lines) <= 10


# --- settings -----------------------------------------------------------------------------


def cleaned(name: str, value: object) -> object:
    """As the code reads it: RETENTION fills up what is left out."""
    return SETTINGS[name].parse(value)


def test_the_table_of_the_readme_has_every_setting_with_its_default() -> None:
    table = rows(section(page("README.md"), "Settings"))[1:]

    assert {row[0].strip("`") for row in table} == set(SETTINGS)
    for key, _type, default, _meaning in table:
        name = key.strip("`")
        told = ast.literal_eval(default.strip("`"))
        assert cleaned(name, told) == cleaned(name, SETTINGS[name].default), name


def test_the_page_of_settings_has_every_setting_with_its_default() -> None:
    text = page("docs/settings.md")
    found = {}
    for heading in headings(text):
        names = re.findall(r"`([A-Z_]+)`", heading)
        if names:
            line = re.search(r"Defaults?: (.+)", section(text, heading))
            assert line, heading
            defaults = re.findall(r"`([^`]+)`", line[1])
            assert len(defaults) == len(names), heading
            found.update(dict(zip(names, defaults, strict=True)))

    assert set(found) == set(SETTINGS)
    for name, default in found.items():
        told = ast.literal_eval(default)
        assert cleaned(name, told) == cleaned(name, SETTINGS[name].default), name


def test_every_option_of_a_model_is_told() -> None:
    told = {row[0].strip("`") for row in rows(section(page("docs/capture.md"), "Which models"))}

    assert told - {"option"} == set(Options.__dataclass_fields__) - {"disguise"}


# --- checks, commands, names --------------------------------------------------------------


def test_every_system_check_is_told_once() -> None:
    source = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    ids = set(re.findall(r'id="(auditwebhooks\.[EW]\d{3})"', source))
    told = [row[0].strip("`") for row in rows(section(page("docs/reference.md"), "System checks"))]

    assert len(ids) > 20
    assert sorted(one for one in told if one != "id") == sorted(ids)


def commands() -> list[str]:
    return sorted(
        path.stem for path in (PACKAGE / "management/commands").glob("auditwebhooks_*.py")
    )


@pytest.mark.parametrize("name", commands())
def test_every_command_is_told_with_its_options(name: str) -> None:
    text = section(page("docs/reference.md"), f"`{name}`")
    parser = load_command_class("auditwebhooks", name).create_parser("manage.py", name)

    for action in parser._actions:
        if action.dest not in _OPTIONS_OF_DJANGO:
            assert any(option in text for option in action.option_strings), action.option_strings


_OPTIONS_OF_DJANGO = {
    "help",
    "version",
    "verbosity",
    "settings",
    "pythonpath",
    "traceback",
    "no_color",
    "force_color",
    "skip_checks",
}


def test_no_command_is_told_that_is_not_there() -> None:
    told = {
        name for path in PAGES for name in re.findall(r"\bauditwebhooks_[a-z_]+", path.read_text())
    }
    tables = {model._meta.db_table for model in (models.Event, models.Invocation, models.Wake)}

    assert told - tables - metric_names() - {"auditwebhooks_"} <= set(commands())


def test_every_public_name_is_told() -> None:
    told = " ".join(words(section(page("docs/reference.md"), "Python")))

    public = {
        *(f"auditwebhooks.{name}" for name in auditwebhooks.__all__),
        *admin.__all__,
        *(
            f"auditwebhooks.testing.{name.__name__}"
            for name in (testing.events, testing.deliveries)
        ),
        *(f"models.{name}" for name in ("Event", "Webhook", "Invocation", "Replay")),
    }
    assert {name for name in public if name not in told} == set()
    assert {"Event", "Webhook", "Invocation", "Replay"} <= set(models.__all__)


def test_every_dotted_name_is_there() -> None:
    for word in words(page("docs/reference.md")):
        match = re.fullmatch(r"(auditwebhooks(?:\.\w+)+)(?:\(.*\))?", word)
        if match is None or re.fullmatch(r"auditwebhooks\.[EW]\d{3}", word):
            continue
        module, _, name = match[1].rpartition(".")
        try:
            found: Any = getattr(importlib.import_module(module), name)
        except AttributeError:
            found = importlib.import_module(match[1])
        assert found, word


def test_every_signal_is_told() -> None:
    own = {name for name, value in vars(signals).items() if isinstance(value, signals.Signal)}
    table = rows(section(page("docs/reference.md"), "Signals"))[1:]

    assert {row[0].strip("`") for row in table} == own
    assert own <= words(section(page("README.md"), "In code"))


def test_the_exceptions_that_are_told_are_there() -> None:
    told = re.findall(r"`(\w+Error)`", page("docs/testing.md") + page("docs/reference.md"))

    assert told
    assert all(hasattr(exceptions, name) for name in told)


def test_the_comparisons_are_of_the_same_versions() -> None:
    told = dict(
        re.findall(
            r"\| \[([\w-]+)\]\(https://pypi.org[^|]+\| ([\d.]+) \|", page("docs/comparison.md")
        )
    )
    short = {name.removeprefix("django-"): version for name, version in told.items()}
    head = rows(section(page("README.md"), "How it compares"))[0]
    measured = dict(one.package.split("==") for one in PEERS if one.package)

    assert len(told) == 6
    assert head[1] == f"auditwebhooks {auditwebhooks.__version__}"
    for name, version in (cell.rsplit(" ", 1) for cell in head[2:]):
        assert short[name.removeprefix("django-")] == version
    assert measured.items() <= told.items()


# --- vocabularies -------------------------------------------------------------------------


def test_every_outcome_is_told_what_to_do() -> None:
    told = headings(section(page("docs/troubleshooting.md"), "By outcome"))

    assert sorted(heading.strip("`") for heading in told) == sorted(Outcome.values)
    for outcome in Outcome.values:
        text = section(page("docs/troubleshooting.md"), f"`{outcome}`")
        assert len(text.split()) > 15, outcome


def test_every_outcome_is_told_what_follows() -> None:
    text = words(section(page("docs/delivery.md"), "What follows a failure"))

    # A 4xx and its like are told by their numbers.
    assert set(Outcome.values) - {"success", "http_status"} <= text


def test_every_placeholder_and_filter_is_told() -> None:
    text = page("docs/templates.md")
    table = rows(section(text, "What an event holds"))[1:]
    filters = words(section(text, "Filters"))

    assert [row[0].strip("`") for row in table] == [field.path for field in FIELDS]
    assert {name for name in FILTERS if not any(re.match(name, one) for one in filters)} == set()


def test_the_default_template_is_told() -> None:
    assert blocks(page("docs/templates.md"), "json")[0].text.rstrip() == DEFAULT_TEMPLATE


def test_every_source_and_kind_of_actor_is_told() -> None:
    told = words(section(page("docs/capture.md"), "Who and where from"))

    # The host's own word where it integrates something.
    assert set(Source.values) - {"integration"} <= told
    assert set(ActorType.values) <= told


def test_every_field_of_the_api_is_told() -> None:
    told = words(section(page("docs/api.md"), "Webhooks"))

    assert set(WebhookSerializer.Meta.fields) <= told


def test_every_address_of_the_api_is_told() -> None:
    told = words(section(page("docs/api.md"), "All addresses"))
    own = {
        re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", str(one.pattern)).strip("^$").rstrip("\\Z")
        for one in urlpatterns
        if isinstance(one, URLPattern)
    }
    # The root is told in words.
    names = {re.sub(r"\{pk\}", "{id}", address) for address in own} - {""}

    assert len(names) > 10
    assert names <= told


def metric_names() -> set[str]:
    return {metric.name for metric in metrics.AuditWebhooksCollector().describe()}


def test_every_metric_is_told() -> None:
    table = rows(section(page("docs/operations.md"), "Prometheus"))[1:]

    assert {re.sub(r"\{.*\}", "", row[0].strip("`")) for row in table} == metric_names()


def test_every_permission_is_told() -> None:
    told = words(section(page("docs/security.md"), "Permissions"))
    own = {
        codename
        for model in (models.Event, models.Invocation, models.Replay, models.Webhook)
        for codename in (
            *(f"{action}_{model._meta.model_name}" for action in model._meta.default_permissions),
            *(codename for codename, _name in model._meta.permissions),
        )
    }

    assert own <= told


# --- what is run --------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_example_tests_pass() -> None:
    [block] = blocks(page("docs/testing.md"), "python")
    names: dict[str, Any] = {"__name__": "example"}
    exec(block.text, names)  # noqa: S102 - the documentation's own
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(names["AuditTest"])
    report = io.StringIO()
    result = unittest.TextTestRunner(stream=report).run(suite)

    assert result.testsRun == 2
    assert result.wasSuccessful(), report.getvalue()
