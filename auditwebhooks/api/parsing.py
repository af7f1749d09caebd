"""What a request may hold: one JSON document that means the same to every reader, no larger than
the host lets its requests be."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import apps
from django.conf import settings
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables
from rest_framework.exceptions import APIException, UnsupportedMediaType, ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.settings import api_settings
from rest_framework.status import HTTP_413_REQUEST_ENTITY_TOO_LARGE
from rest_framework.views import APIView

# Apps with templates of the pages for people.
_OF_PAGES = ("rest_framework", "django_filters")

# Much deeper than anything that a field holds.
MOST_NESTED = 20

# Nothing, or the boundary that ends a form.
_EMPTY_FORM = re.compile(rb"(?:--[^\s]+--)?")


class TooLargeError(APIException):
    status_code = HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = gettext_lazy(
        "The request is larger than DATA_UPLOAD_MAX_MEMORY_SIZE lets it be."
    )
    default_code = "too_large"


class JSONOnlyParser(BaseParser):
    """Every refusal has the form of field errors."""

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        raw = _read(stream)
        try:
            data = json.loads(
                raw.decode(),
                object_pairs_hook=_without_twins,
                parse_constant=_no_number,
                parse_float=_number,
            )
        except RecursionError:
            raise _refusal(_too_deep()) from None
        except ValueError as error:
            raise _refusal(_("This is no JSON: %s") % error) from None
        _refuse_what_nothing_stores(data)
        return data


class NothingParser(BaseParser):
    """Clients send an empty form where there is nothing to say; anything else is no JSON."""

    media_type = "*/*"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        if not _EMPTY_FORM.fullmatch(_read(stream).strip()):
            raise UnsupportedMediaType(str(media_type))
        return {}


class JSONView(APIView):
    """What the host's settings make of its own API does not change what this one means."""

    parser_classes = [JSONOnlyParser]

    def get_renderers(self) -> list[BaseRenderer]:
        """JSON; and pages for people, where the host has them for its own API and has installed
        what they are made of."""
        hosts: Any = api_settings.DEFAULT_RENDERER_CLASSES
        has_pages = BrowsableAPIRenderer in hosts and all(map(apps.is_installed, _OF_PAGES))
        return [JSONRenderer(), *([BrowsableAPIRenderer()] if has_pages else [])]

    def get_parsers(self) -> list[BaseParser]:
        parsers = list(super().get_parsers())
        # What OpenAPI tells of is JSON alone.
        told = getattr(self, "swagger_fake_view", False)
        return parsers if told else [*parsers, NothingParser()]

    @method_decorator(sensitive_variables())
    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Reports of errors show no variables of what is called from here: among them are bodies
        with secrets that were just typed."""
        return super().dispatch(request, *args, **kwargs)


def _read(stream: Any) -> bytes:
    # The stubs do not know that None lifts the limit.
    most: Any = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if most is None:
        return bytes(stream.read())
    raw = bytes(stream.read(most + 1))
    if len(raw) > most:
        raise TooLargeError
    return raw


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _value in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(_("%s is there more than once.") % json.dumps(twin))
    return found


def _no_number(constant: str) -> None:
    raise ValueError(_("%s is no number of JSON.") % constant)


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(_("%s is too large a number.") % text)
    return number


def _refuse_what_nothing_stores(data: Any) -> None:
    """By field, where there are fields."""
    fields = data if isinstance(data, dict) else {_of_no_field(): data}
    errors: dict[str, list[str]] = {}
    for name, value in fields.items():
        for reason in _reasons(name):
            raise _refusal(reason)
        for reason in itertools.islice(_reasons(value), 1):
            errors[name] = [reason]
    if errors:
        raise ValidationError(errors)


def _reasons(value: Any) -> Iterator[str]:
    """Without recursion, for what is nested deeply."""
    level = [value]
    for _depth in range(MOST_NESTED):
        below: list[Any] = []
        for one in level:
            if isinstance(one, str):
                yield from _reasons_of_text(one)
            elif isinstance(one, dict):
                below += [*one, *one.values()]
            elif isinstance(one, list):
                below += one
        level = below
    if level:
        yield _too_deep()


def _reasons_of_text(text: str) -> Iterator[str]:
    if "\x00" in text:
        yield _("No database stores the character NUL.")
    try:
        text.encode()
    except UnicodeEncodeError:
        yield _("This is no text: a surrogate stands alone in it.")


def _too_deep() -> str:
    return _("This is nested more than %d deep.") % MOST_NESTED


def _refusal(reason: str) -> ValidationError:
    return ValidationError({_of_no_field(): [reason]})


def _of_no_field() -> str:
    return str(api_settings.NON_FIELD_ERRORS_KEY)
