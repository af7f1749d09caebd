"""What a host may use says what it is."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import auditwebhooks
from auditwebhooks import middleware, signals, testing

ROOT = Path(auditwebhooks.__file__).parents[1]


def defined_in(module: ModuleType) -> list[str]:
    """The names without an underscore that the module makes itself."""
    made = ast.parse(inspect.getsource(module)).body
    names = [one.name for one in made if isinstance(one, ast.FunctionDef | ast.ClassDef)]
    return [name for name in names if not name.startswith("_")]


PUBLIC = [
    *((auditwebhooks, name) for name in auditwebhooks.__all__ if name != "__version__"),
    *((module, name) for module in (testing, middleware) for name in defined_in(module)),
]

SIGNALS = [name for name, value in vars(signals).items() if isinstance(value, signals.Signal)]


def test_the_public_names_are_known() -> None:
    assert {name for _module, name in PUBLIC} == {
        *("register", "context", "paused", "record"),
        *("Delivery", "events", "deliveries", "AuditContextMiddleware"),
    }
    assert set(SIGNALS) == {"event_recorded", "invocation_finished", "webhook_disabled"}


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_a_public_name_says_what_it_is(module: ModuleType, name: str) -> None:
    thing = getattr(module, name)
    described = vars(thing).get("__doc__") if inspect.isclass(thing) else inspect.getdoc(thing)
    # A dataclass without a docstring is given its signature for one.
    assert described and not described.startswith(f"{name}(")


@pytest.mark.parametrize("module", ["", ".testing", ".signals", ".history"])
def test_a_public_module_says_what_it_is_for(module: str) -> None:
    assert importlib.import_module(f"auditwebhooks{module}").__doc__


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_names_its_arguments(name: str) -> None:
    """In the comment above it, and in the README."""
    above, found, _below = inspect.getsource(signals).partition(f"\n{name} = ")
    assert found
    comment = above.rpartition("\n\n")[2]
    assert comment.startswith("# ")
    assert "Arguments: " in comment
    assert f"`{name}`" in (ROOT / "README.md").read_text()


def test_what_is_typed_is_marked_so() -> None:
    assert (Path(auditwebhooks.__file__).parent / "py.typed").is_file()
