"""Rows of inputs for headers and validators. They work without JavaScript: a few empty rows are
always there, and the script only adds more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from django import forms

from auditwebhooks.capture.object_fields import ObjectFields, object_fields
from auditwebhooks.delivery.preview import Preview
from auditwebhooks.event_types import event_types
from auditwebhooks.masking import MASK
from auditwebhooks.payload import FIELDS

_EMPTY_ROWS = 1

# A page with more would be slow to load; the API's payload and the log show the rest.
MOST_FIELDS = 2000


class RowsWidget(forms.Widget):
    """Inputs named ``<name>-<number>-<part>``, one row after the other."""

    parts: tuple[str, ...] = ()

    class Media:
        js = ("auditwebhooks/rows.js",)
        css = {"all": ("auditwebhooks/admin.css",)}

    def rows_of(self, value: Any) -> Iterable[Mapping[str, Any]]:
        """The rows that show a field's value."""
        raise NotImplementedError

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        empty = dict.fromkeys(self.parts, "")
        rows = [*self.rows_of(value), *([empty] * _EMPTY_ROWS)]
        context["widget"]["rows"] = [
            {"name": f"{name}-{number}", **row} for number, row in enumerate(rows)
        ]
        context["widget"]["template_row"] = {"name": f"{name}-__number__", **empty}
        return context

    def value_from_datadict(
        self, data: Mapping[str, Any], files: Any, name: str
    ) -> list[dict[str, str]]:
        """The rows as they were sent, without the empty ones."""
        rows = []
        number = 0
        while f"{name}-{number}-{self.parts[0]}" in data:
            row = {part: data.get(f"{name}-{number}-{part}", "") for part in self.parts}
            if any(text.strip() for text in row.values()):
                rows.append(row)
            number += 1
        return rows

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}-0-{self.parts[0]}" not in data

    def id_for_label(self, id_: str) -> str:
        return ""


class HeaderRows(RowsWidget):
    """Key and value. A stored value is never shown; left empty it is kept."""

    template_name = "admin/auditwebhooks/header_rows.html"
    parts = ("key", "value")
    # Names of the headers whose values are in the database.
    stored: Collection[str] = ()

    def rows_of(self, value: Any) -> Iterable[Mapping[str, Any]]:
        if isinstance(value, Mapping):
            return [{"key": key, "kept": True} for key in value]
        # As it was sent. Typed values are not sent back into a page.
        return [
            {
                "key": row["key"],
                "kept": row["value"] in ("", MASK) and row["key"].strip() in self.stored,
            }
            for row in value or []
        ]


class ValidatorRows(RowsWidget):
    """JSONPath, and the expected values, one on each line."""

    class Media:
        js = ("auditwebhooks/chips.js",)

    template_name = "admin/auditwebhooks/validator_rows.html"
    parts = ("path", "expected")

    def rows_of(self, value: Any) -> Iterable[Mapping[str, Any]]:
        return self.shown(value)

    @staticmethod
    def shown(value: Any) -> list[dict[str, str]]:
        """Of stored validators, or of rows as they were sent."""
        return [
            row
            if "path" in row
            else {"path": row["json_path"], "expected": "\n".join(row["expected_values"])}
            for row in value or []
        ]


class BodyTemplateInput(forms.Textarea):
    """The template's text, with what it makes of an event and every field of the payload below."""

    template_name = "admin/auditwebhooks/body_template_input.html"
    # Where Format and Preview are sent to; empty: there are none.
    preview_url = ""
    # What is shown before anything is sent.
    preview: Preview | None = None
    # The form's own list of errors has that of the preview.
    is_error_told = False
    # The inputs that choose the event, for those who may.
    preview_event: Any = None

    class Media:
        js = ("auditwebhooks/post.js", "auditwebhooks/template.js", "auditwebhooks/insert.js")

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        models = list(object_fields())
        shown = _as_many(models)
        context |= {
            "preview_url": self.preview_url,
            "preview": self.preview,
            "is_error_told": self.is_error_told,
            "preview_event": self.preview_event,
            "payload_fields": FIELDS,
            "models": shown,
            "left_out": len(models) - len(shown),
        }
        return context


def _as_many(models: Sequence[ObjectFields]) -> list[ObjectFields]:
    """The first models that have no more than ``MOST_FIELDS`` together."""
    totals = accumulate(len(model.fields) for model in models)
    return [model for model, total in zip(models, totals, strict=True) if total <= MOST_FIELDS]


class EventTypesInput(forms.Textarea):
    """Patterns, one on each line, with the types that there are to copy from."""

    template_name = "admin/auditwebhooks/event_types_input.html"

    class Media:
        js = ("auditwebhooks/insert.js",)

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["known_types"] = event_types()
        return context


class SecretInput(forms.PasswordInput):
    """A password box that keeps what is stored while it is empty, and a box to take it away."""

    template_name = "admin/auditwebhooks/secret_input.html"
    is_stored = False

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, None, {**(attrs or {}), "dir": "ltr"})
        # Not the value: an empty box is sent as one that keeps what there is.
        context["widget"]["is_stored"] = self.is_stored
        context["widget"]["remove_name"] = f"{name}-remove"
        return context

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> str:
        if data.get(f"{name}-remove"):
            return ""
        return str(data.get(name) or MASK)
