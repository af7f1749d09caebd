"""The payload of an event as JSON Schema (draft 2020-12), made of ``payload.FIELDS``. Pure."""

from __future__ import annotations

from typing import Any

from django.utils import translation

from auditwebhooks.payload import FIELDS, PayloadField

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Every field is always there. What is below an open one is the host's. In English: it is
    for programs, and the same for everybody."""
    with translation.override(None):
        return _json_schema()


def _json_schema() -> dict[str, Any]:
    schema: dict[str, Any] = {"$schema": DIALECT, "title": "Audit event", **_object()}
    for field in FIELDS:
        *above, name = field.path.split(".")
        parent = schema
        for step in above:
            parent = parent["properties"][step]
        parent["properties"][name] = _of(field)
        parent["required"].append(name)
    return schema


def _object() -> dict[str, Any]:
    return {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def _of(field: PayloadField) -> dict[str, Any]:
    types = field.type.split(" or ")
    schema: dict[str, Any] = {"type": types if len(types) > 1 else types[0]}
    if schema["type"] == "object" and not field.open:
        schema = _object()
    schema["description"] = str(field.meaning)
    if field.values:
        # Hosts may use words of their own.
        schema["examples"] = list(field.values)
    if field.format:
        schema["format"] = field.format
    if field.pattern:
        schema["pattern"] = field.pattern
    return schema
