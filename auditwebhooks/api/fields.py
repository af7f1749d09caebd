"""Fields, and what the OpenAPI schema tells of their JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from auditwebhooks import rules
from auditwebhooks.api.openapi import shaped
from auditwebhooks.enums import (
    ActorType,
    Method,
    Outcome,
    ReplayStatus,
    Status,
    Trigger,
    WebhookType,
)

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_VALIDATOR = {
    "type": "object",
    "properties": {"json_path": _TEXT, "expected_values": _TEXTS},
    "required": ["json_path", "expected_values"],
}
_VALIDATION_RESULT = {
    "type": "object",
    "properties": {
        "json_path": _TEXT,
        "expected_values": _TEXTS,
        "found": _TEXTS,
        "passed": {"type": "boolean"},
        "reading": _TEXT,
    },
}


# What is told to be text, a number or a flag is taken as that alone: REST framework's own fields
# make text of numbers, numbers of text, and flags of both.


class TextField(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class FlagField(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


@shaped(
    {
        "type": "string",
        "minLength": 1,
        "maxLength": rules.NAME_LENGTH,
        "example": "SIEM",
        "description": "Letters, digits, space, - and _; unique without regard to case.",
    }
)
class NameField(TextField):
    pass


@shaped({"type": "string", "format": "uri", "example": "https://hooks.example.com/in"})
class URLField(TextField):
    pass


@shaped({"type": "integer", "minimum": 1})
class CountField(serializers.IntegerField):
    """Its bounds are the rule's. Those of a model field are the database's, and would be in the
    OpenAPI schema and in what is said of a wrong value."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str | bool):
            self.fail("invalid")
        return super().to_internal_value(data)


@shaped({"type": "object", "additionalProperties": _TEXT}, "AuditHeaders")
class HeadersField(serializers.DictField):
    pass


@shaped({"type": "array", "items": _VALIDATOR}, "AuditValidators")
class ValidatorsField(serializers.JSONField):
    pass


@shaped(_TEXTS)
class TextsField(serializers.JSONField):
    pass


@shaped({"type": "object", "additionalProperties": _TEXT}, "AuditStoredHeaders")
class StoredHeadersField(serializers.JSONField):
    pass


@shaped({"type": "array", "items": _VALIDATION_RESULT}, "AuditValidationResults")
class ValidationResultsField(serializers.JSONField):
    pass


@shaped({"type": "object", "additionalProperties": {"type": "number"}}, "AuditTimings")
class TimingsField(serializers.JSONField):
    pass


@shaped({"type": "object", "description": "As payload-schema/ has it."}, "AuditPayload")
class PayloadField(serializers.JSONField):
    pass


def _choice(name: str, values: list[str]) -> Any:
    """A field whose values have a name of their own in the OpenAPI schema: those that are made for
    them there would be the host's own, too."""
    field = type(name, (serializers.ChoiceField,), {})
    return shaped({"type": "string", "enum": values}, f"Audit{name}")(field)


TypeField = _choice("Type", WebhookType.values)
MethodField = _choice("Method", Method.values)
TriggerField = _choice("Trigger", Trigger.values)
StatusField = _choice("Status", Status.values)
OutcomeField = _choice("Outcome", [*Outcome.values, ""])
ActorTypeField = _choice("ActorType", ActorType.values)
ReplayStatusField = _choice("ReplayStatus", ReplayStatus.values)
