"""The webhook form, in the seed page's order and words. The rules are the model's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from auditwebhooks.admin.display import moment
from auditwebhooks.admin.widgets import (
    BodyTemplateInput,
    EventTypesInput,
    HeaderRows,
    SecretInput,
    ValidatorRows,
)
from auditwebhooks.conf import conf
from auditwebhooks.edits import edit_since
from auditwebhooks.masking import MASK
from auditwebhooks.models import Webhook
from auditwebhooks.payload import DEFAULT_TEMPLATE


class HeadersFormField(forms.Field):
    widget = HeaderRows

    def clean(self, value: list[dict[str, str]]) -> dict[str, str]:
        headers: dict[str, str] = {}
        for row in value or []:
            key = row["key"].strip()
            if key in headers:
                raise forms.ValidationError(_('The header "%s" stands here twice.') % key)
            # Outer white space comes from copying and is never meant.
            headers[key] = row["value"].strip() or MASK
        return headers

    def has_changed(self, initial: Any, data: Any) -> bool:
        sent = {row["key"].strip(): row["value"] or MASK for row in data or []}
        return sent != dict(initial or {})


class ValidatorsFormField(forms.Field):
    widget = ValidatorRows

    def clean(self, value: list[dict[str, str]]) -> list[dict[str, Any]]:
        return [
            {"json_path": row["path"].strip(), "expected_values": _lines(row["expected"])}
            for row in value or []
        ]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.clean(data) != self.clean(ValidatorRows.shown(initial))


class BodyTemplateFormField(forms.CharField):
    """Text as it was typed, so that the lines of an error are those that are seen; browsers end
    them with CR LF, whatever they were shown."""

    widget = BodyTemplateInput(
        attrs={
            "rows": 20,
            "class": "vLargeTextField auditwebhooks-code",
            "spellcheck": "false",
            "dir": "ltr",
        }
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(strip=False, **options)

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(initial) != self.to_python(data)


class EventTypesFormField(forms.CharField):
    """One pattern on each line."""

    widget = EventTypesInput(
        attrs={"rows": 3, "class": "vLargeTextField", "spellcheck": "false", "dir": "ltr"}
    )

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: str | None) -> list[str]:
        return (value or "").split()

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.clean(data) != (initial or [])


class VersionField(forms.CharField):
    """No value of the webhook."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


class OrderField(forms.BooleanField):
    """Asks for something to be done; that it was done is noted by itself."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


def _lines(text: str) -> list[str]:
    """As browsers and the page's script tell them; ``splitlines()`` knows further ends."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [line for line in lines if line.strip()]


def _bounded(text: Any, bounds: Callable[[], dict[str, Any]]) -> str:
    return str(text) % bounds()


# The settings are asked when the text is shown.
bounded = lazy(_bounded, str)


if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Webhook]
else:
    ModelForm = forms.ModelForm


class WebhookForm(ModelForm):
    body_template = BodyTemplateFormField(
        label=gettext_lazy("Body Template"),
        # A field of its own does not take over the model's default.
        initial=DEFAULT_TEMPLATE,
        required=False,
        help_text=gettext_lazy("A JSON body with {{placeholders}} in quotes. Empty: no body."),
    )
    headers = HeadersFormField(
        label=gettext_lazy("Headers"),
        required=False,
        help_text=gettext_lazy(
            "The authentication information required by the target system, for example the key "
            "Authorization with the value Bearer and the API token. Stored values are encrypted "
            "and never shown again."
        ),
    )
    response_validators = ValidatorsFormField(
        label=gettext_lazy("Response Validators"),
        required=False,
        help_text=gettext_lazy(
            "Verify that the response meets your criteria: a JSONPath that starts with $.data. "
            "and the values it may have: press Enter after each."
        ),
    )
    event_types = EventTypesFormField(
        label=gettext_lazy("Event Types"),
        required=False,
        help_text=gettext_lazy(
            "Send these events only, for example access.* or *.deleted, each on a line of its "
            "own. Empty: every event."
        ),
    )
    signing_secret = forms.CharField(
        label=gettext_lazy("Signing Secret"),
        required=False,
        widget=SecretInput,
        help_text=gettext_lazy(
            "whsec_ and base64. When set, every request is signed as Standard Webhooks; after a "
            "change the old secret signs along for 24 hours."
        ),
    )

    # Of the configuration that the page was made of.
    version = VersionField(required=False, widget=forms.HiddenInput)
    # What is done beside the saving: no value of the webhook.
    discard_waiting = OrderField(
        label=gettext_lazy("Discard what waits"),
        required=False,
        help_text=gettext_lazy(
            "With the webhook switched off, saving ends what waits for it. What a worker is "
            "sending at that moment is still sent. A replay can send the events later."
        ),
    )

    class Meta:
        model = Webhook
        fields = (
            "name",
            "active",
            "type",
            "method",
            "url",
            "body_template",
            "headers",
            "timeout_in_sec",
            "response_validators",
            "event_types",
            "signing_secret",
            "max_attempts",
            "retry_on_validation",
            "max_per_minute",
        )
        labels: Mapping[str, Any] = {
            "name": gettext_lazy("Audit Webhook Name"),
            "active": gettext_lazy("Status: Active"),
            "type": gettext_lazy("Type"),
            "method": gettext_lazy("Method"),
            "url": gettext_lazy("URL"),
            "timeout_in_sec": gettext_lazy("Timeout in seconds"),
        }
        help_texts: Mapping[str, Any] = {
            "name": gettext_lazy(
                "A unique, alphanumeric, user-friendly name for identifying this webhook."
            ),
            "active": gettext_lazy("Only an active webhook is sent events."),
            "method": gettext_lazy("The REST method."),
            "url": gettext_lazy(
                "The URL of the target system that will receive the webhook. It uses the HTTPS "
                "protocol and does not specify any custom ports."
            ),
            "timeout_in_sec": bounded(
                gettext_lazy(
                    "The duration in seconds to wait before marking the request as failed: 1 to "
                    "%(most)s. Empty: %(default)s."
                ),
                lambda: {"most": f"{conf.max_timeout:g}", "default": f"{conf.default_timeout:g}"},
            ),
            "max_attempts": bounded(
                gettext_lazy("How often a delivery is tried: 1 to %(most)s. Empty: %(most)s."),
                lambda: {"most": len(conf.retry_delays) + 1},
            ),
            "retry_on_validation": gettext_lazy(
                "Else a delivery that was answered and did not pass the response validators is "
                "not tried again: the target system has already acted."
            ),
            "max_per_minute": gettext_lazy("Empty: as many as there are."),
        }
        widgets: Mapping[str, Any] = {
            "url": forms.TextInput(attrs={"class": "vLargeTextField", "dir": "ltr"}),
        }

    # Off where the values are not saved.
    asks_for_edits = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            self.initial["version"] = self.instance.version
        # For the pages with errors, which show what was typed.
        for name, attribute, known in (
            ("headers", "stored", frozenset(self.instance.headers)),
            ("signing_secret", "is_stored", bool(self.instance.signing_secret)),
        ):
            if name in self.fields:
                setattr(self.fields[name].widget, attribute, known)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.asks_for_edits and cleaned.get("version"):
            self._refuse_to_overwrite(cleaned["version"])
        if cleaned.get("discard_waiting") and cleaned.get("active"):
            text = _("Switch the webhook off (Status) to discard what waits for it.")
            self.add_error("discard_waiting", text)
        return cleaned

    def _refuse_to_overwrite(self, version: str) -> None:
        edit = edit_since(self.instance.pk, version)
        if edit is not None:
            # The empty address is that of this page.
            text = format_html(
                _(
                    "{who} changed this webhook at {moment}, after you had opened it. Nothing was "
                    'saved. <a href="" target="_blank">See the present values</a> and make your '
                    "change there; what you typed is still here."
                ),
                who=edit.who or _("Somebody"),
                moment=moment(edit.at),
            )
            self.add_error(None, text)

    def clean_response_validators(self) -> list[dict[str, Any]]:
        """Rows cannot show a value that is empty or has several lines, as the API takes them:
        what was not touched stays as it is stored."""
        if "response_validators" not in self.changed_data:
            return list(self.initial.get("response_validators") or [])
        return list(self.cleaned_data["response_validators"])

    def clean_signing_secret(self) -> str:
        """An empty box keeps what is stored; where nothing is stored there is nothing to keep."""
        value: str = self.cleaned_data["signing_secret"]
        return "" if value == MASK and not self.instance.signing_secret else value
