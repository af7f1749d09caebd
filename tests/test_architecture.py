"""The floors of the package: a module imports only from lower floors.

The table is the map. A new module gets a line here, on the lowest floor that its imports allow.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import auditwebhooks

PACKAGE = Path(auditwebhooks.__file__).parent

FLOORS: tuple[tuple[str, ...], ...] = (
    # Words.
    ("exceptions", "enums", "sentences", "signals", "storable"),
    # Settings, and what needs nothing.
    (
        "conf",
        "impersonation",
        "journal",
        "masking",
        "retry",
        "seeing",
        "states",
        "chart",
        "signing",
        "tables",
        "extract",
        "identifiers",
        "templating.filters",
        "delivery.count_cache",
        "models.periods",
        "transport.call",
        "transport.heads",
        "transport.resolver",
    ),
    # Pure engines, and what is known where a change happens.
    (
        "templating.placeholders",
        "validation",
        "context",
        "registry",
        "encryption",
        "transport.failures",
        "transport.messages",
        "transport.sockets",
    ),
    ("templating.template", "transport.address", "transport.guard", "queue"),
    # The shape of an event, and a model's values as JSON.
    ("transport.client", "payload", "capture.conversion", "receiver"),
    (
        "rules",
        "querysets",
        "capture.cuts",
        "capture.snapshot",
        "statements",
        "payload_schema",
        "templating.layout",
    ),
    # Tables.
    ("models.fields", "models.event", "models.health"),
    ("models.webhook", "models.wake", "models.idempotency"),
    ("models.replay",),
    ("models.invocation",),
    ("models",),
    ("rows", "event_types"),
    ("wake", "capture.writes"),
    # From a change to an event; from an event to an invocation, a call, a verdict, a row.
    (
        "rotation",
        "capture.cause",
        "edits",
        "retention",
        "delivery.allowance",
        "delivery.message",
        "delivery.judge",
        "delivery.scrub",
        "delivery.line",
        "delivery.chain",
        "delivery.hours",
        "delivery.claim",
        "delivery.switching",
    ),
    ("capture.recording", "delivery.send", "delivery.fanout", "delivery.stats", "erasure"),
    ("delivery.samples",),
    ("capture.subject", "delivery.again", "delivery.selection", "redaction"),
    (
        "capture.change",
        "capture.names",
        "capture.object_fields",
        "history",
        "delivery.replay",
    ),
    ("capture.save", "capture.delete", "capture.record", "capture.relation"),
    ("capture.owners",),
    ("capture.bulk", "capture.members"),
    ("capture.upserts",),
    ("capture.audited",),
    ("delivery.reschedule", "delivery.discard"),
    ("delivery.breaker", "delivery.lane"),
    ("delivery.health",),
    ("delivery.store", "delivery.trial", "delivery.preview"),
    ("delivery.calls",),
    ("delivery.drain",),
    ("delivery.turn",),
    # Where Django calls in.
    (
        "receivers.changes",
        "receivers.memberships",
        "receivers.sessions",
        "receivers.schedule",
        "receivers.webhooks",
        "middleware",
        "tasks",
    ),
    ("instrument", "checks", "workers", "status"),
    ("metrics", "dashboard"),
    # Faces.
    (
        "admin.display",
        "admin.curl",
        "admin.diff",
        "admin.filters",
        "admin.links",
        "admin.tips",
        "admin.widgets",
        "api.openapi",
        "api.permissions",
        "api.pages",
        "api.parsing",
        "api.idempotency",
        "api.etags",
    ),
    ("api.fields",),
    (
        "api.filters",
        "admin.forms",
        "admin.columns",
        "admin.choosing",
        "admin.resending",
        "api.serializers",
        "api.vocabulary",
        "api.schema",
        "api.index",
    ),
    ("api.answers",),
    ("api.logs", "api.webhooks"),
    (
        "admin.history",
        "templatetags.auditwebhooks_dashboard",
        "templatetags.auditwebhooks_history",
    ),
    (
        "admin.attempts",
        "admin.charting",
        "admin.changes",
        "admin.unsaved",
        "admin.deleting",
        "admin.logs",
        "admin.rotating",
        "admin.waiting",
    ),
    ("admin.exporting",),
    ("admin.confirming",),
    ("admin.events", "admin.invocations", "admin.previewing", "admin.replays", "admin.trial"),
    ("admin.actions",),
    ("admin.webhooks", "api.urls"),
    (
        "admin",
        "management.commands.auditwebhooks_deliver",
        "management.commands.auditwebhooks_listen",
        "management.commands.auditwebhooks_prune",
        "management.commands.auditwebhooks_redact",
        "management.commands.auditwebhooks_rotate_keys",
        "management.commands.auditwebhooks_status",
    ),
    ("apps", "testing"),
)

# The public names: imported by the host, and by nothing below but for the version.
TOP = "auditwebhooks"

# Imports inside functions: wiring, and the one public name that needs the models.
LAZY = {"apps": "ready", "": "__getattr__"}

EMPTY = {
    "capture",
    "templating",
    "transport",
    "delivery",
    "receivers",
    "templatetags",
    "management",
    "management.commands",
    "api",
}


def read_modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if "migrations" in parts:
            continue
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, ast.parse(path.read_text())


MODULES = dict(read_modules())


def floor_of(name: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if name in floor)


def imported_names(tree: ast.AST) -> Iterator[str]:
    """The modules of this package that a tree imports, relative to the package."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name == TOP or name.startswith(f"{TOP}."):
                relative = name.removeprefix(TOP).removeprefix(".")
                while relative and relative not in MODULES:
                    relative = relative.rpartition(".")[0]
                yield relative


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


ALL = [pytest.param(name, tree, id=name or TOP) for name, tree in MODULES.items()]


@pytest.mark.parametrize(("name", "tree"), ALL)
def test_every_module_stands_on_one_floor(name: str, tree: ast.Module) -> None:
    if name and name not in EMPTY:
        assert sum(name in floor for floor in FLOORS) == 1


@pytest.mark.parametrize(("name", "tree"), ALL)
def test_imports_point_to_lower_floors(name: str, tree: ast.Module) -> None:
    if not name or name in EMPTY:
        return
    upward = [
        other
        for other in imported_names(tree)
        if other and other not in EMPTY and floor_of(other) >= floor_of(name)
    ]
    assert upward == []


def test_the_public_names_come_from_floors_that_need_no_models() -> None:
    body = [node for node in MODULES[""].body if not isinstance(node, ast.FunctionDef)]
    names = {name for node in body for name in imported_names(node)}
    assert {floor_of(name) for name in names} <= {0, 1, 2}


def test_the_floors_name_no_module_that_is_gone() -> None:
    assert {name for floor in FLOORS for name in floor} <= set(MODULES)


@pytest.mark.parametrize(("name", "tree"), ALL)
def test_only_wiring_imports_inside_functions(name: str, tree: ast.Module) -> None:
    lazy = [
        function.name
        for function in functions(tree)
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function))
    ]
    assert lazy == ([LAZY[name]] if name in LAZY else [])


@pytest.mark.parametrize(("name", "tree"), ALL)
def test_only_the_queue_imports_django_q(name: str, tree: ast.Module) -> None:
    imports = [
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    if name != "queue":
        assert not any(imported.split(".")[0] == "django_q" for imported in imports)


def test_only_retention_and_redaction_change_what_was_recorded() -> None:
    private = ("_prune", "_redact", "_raw_delete")
    uses = {
        name: sorted(
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in private
        )
        for name, tree in MODULES.items()
    }
    assert {name: found for name, found in uses.items() if found} == {
        # The host's rows.
        "capture.audited": ["_raw_delete"],
        # ``_prune`` itself.
        "querysets": ["_raw_delete"],
        # Events; invocations and replays.
        "retention": ["_prune", "_raw_delete", "_raw_delete"],
        "redaction": ["_redact"],
    }


@pytest.mark.parametrize(("name", "tree"), ALL)
def test_only_the_metrics_need_prometheus_and_nothing_needs_them(
    name: str, tree: ast.Module
) -> None:
    imports = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    if name != "metrics":
        assert not any(module.startswith("prometheus_client") for module in imports)
        assert "metrics" not in imported_names(tree)


@pytest.mark.parametrize(("name", "tree"), ALL)
def test_only_the_openapi_schema_needs_drf_spectacular(name: str, tree: ast.Module) -> None:
    imports = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    if name not in ("api.openapi", "api.schema"):
        assert not any(module.startswith("drf_spectacular") for module in imports)
        assert "api.schema" not in imported_names(tree) or name == "api.urls"


@pytest.mark.parametrize(("name", "tree"), ALL)
def test_the_package_does_not_need_rest_framework_to_be_imported(
    name: str, tree: ast.Module
) -> None:
    if name.split(".")[0] != "api":
        imports = {
            node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        }
        assert not any(module.startswith("rest_framework") for module in imports)
