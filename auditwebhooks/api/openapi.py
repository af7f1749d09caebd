"""What the OpenAPI schema tells of the views, beside the views. Without drf-spectacular (the extra
``openapi``) all of it does nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from rest_framework import serializers

try:
    from drf_spectacular import extensions, openapi, utils
except ImportError:
    IS_INSTALLED = False
else:
    IS_INSTALLED = True

if TYPE_CHECKING:
    Base = serializers.Serializer[Any]
else:
    Base = serializers.Serializer

T = TypeVar("T")

TAG = "audit webhooks"

_BY_FIELD = {
    "type": "object",
    "additionalProperties": {"type": "array", "items": {"type": "string"}},
    "description": "Field or parameter -> what is wrong with it; non_field_errors: with all.",
}


def component(name: str) -> Callable[[T], T]:
    """A serializer's name in the schema, which the host's own must not have."""
    if not IS_INSTALLED:
        return _unchanged
    decorate: Callable[[T], T] = utils.extend_schema_serializer(component_name=name)
    return decorate


def shaped(schema: dict[str, Any], name: str | None = None) -> Callable[[T], T]:
    """What a field's JSON looks like. ``name``: of a component of its own."""
    if not IS_INSTALLED:
        return _unchanged
    decorate: Callable[[T], T] = utils.extend_schema_field(schema, component_name=name)
    return decorate


def _unchanged(given: T) -> T:
    return given


@component("AuditRefusal")
class RefusalSerializer(Base):
    detail = serializers.CharField()


@component("AuditRefusedFields")
class RefusedFieldsSerializer(Base):
    """Its names are those of what was sent."""


if IS_INSTALLED:

    class RefusedFieldsExtension(extensions.OpenApiSerializerExtension):  # type: ignore[misc]
        target_class = RefusedFieldsSerializer

        def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
            return _BY_FIELD


REFUSED = {
    400: (RefusedFieldsSerializer, "What was sent is refused."),
    401: (RefusalSerializer, "Nobody is logged in."),
    403: (RefusalSerializer, "The permission is missing, or nobody is logged in."),
    404: (RefusalSerializer, "There is no such object."),
    409: (
        RefusalSerializer,
        "The first request with this Idempotency-Key is not done yet.",
    ),
    406: (RefusalSerializer, "Accept leaves nothing that this can be told in."),
    412: (RefusalSerializer, "The webhook was changed meanwhile: its ETag is another."),
    413: (RefusalSerializer, "The request is too large."),
    415: (RefusalSerializer, "The request is no application/json."),
    422: (RefusalSerializer, "This Idempotency-Key was used for another body."),
    429: (RefusalSerializer, "Too many requests for now; Retry-After says how many seconds."),
}
# By every operation, and by each that reads a body.
ALWAYS = (401, 403, 406, 429)
OF_A_BODY = (400, 413, 415)


def operation(
    name: str,
    answers: Mapping[int, Any],
    *,
    refuses: Sequence[int] = (),
    parameters: Sequence[Any] = (),
    **more: Any,
) -> Callable[[T], T]:
    """One method of a view. ``answers``: status -> a serializer, or with its words a pair, or
    words alone. ``refuses``: statuses beside ALWAYS."""
    if not IS_INSTALLED:
        return _unchanged
    refused = {status: REFUSED[status] for status in (*ALWAYS, *refuses)}
    extend: Callable[[T], T] = utils.extend_schema(
        operation_id=f"audit_{name}",
        tags=[TAG],
        parameters=[*parameters, RETRY_AFTER],
        responses={
            status: _response(one) for status, one in sorted({**answers, **refused}.items())
        },
        **more,
    )

    def decorate(method: T) -> T:
        # Otherwise it is made of the host's DEFAULT_SCHEMA_CLASS.
        method.schema = openapi.AutoSchema  # type: ignore[attr-defined]
        return extend(method)

    return decorate


def operations(**methods: Any) -> Callable[[T], T]:
    """Those that a viewset inherits: name of the method -> ``operation()``."""
    if not IS_INSTALLED:
        return _unchanged
    decorate: Callable[[T], T] = utils.extend_schema_view(**methods)
    return decorate


def header(name: str, words: str) -> Any:
    if not IS_INSTALLED:
        return None
    return utils.OpenApiParameter(
        name, str, location=utils.OpenApiParameter.HEADER, description=words
    )


def answered(name: str, words: str, statuses: Sequence[int]) -> Any:
    """A header of the answers with these statuses."""
    if not IS_INSTALLED:
        return None
    return utils.OpenApiParameter(
        name,
        str,
        location=utils.OpenApiParameter.HEADER,
        description=words,
        response=statuses,
    )


def query(name: str, words: str, values: Sequence[str] = ()) -> Any:
    """``values``: those that there are; none: any text."""
    if not IS_INSTALLED:
        return None
    return utils.OpenApiParameter(name, str, description=words, enum=values or None)


def number_in_path(name: str) -> Any:
    """For one that no model's viewset knows."""
    if not IS_INSTALLED:
        return None
    return utils.OpenApiParameter(name, int, location=utils.OpenApiParameter.PATH)


IDEMPOTENCY_KEY = header(
    "Idempotency-Key", "Acts once: the same request with the same key gets the first answer."
)
IF_MATCH = header("If-Match", "The ETag that the webhook must still have.")
ETAG = answered("ETag", "Of the webhook as it is now, for If-Match.", [200, 201])
RETRY_AFTER = answered("Retry-After", "Seconds, where it is known.", [429])
IF_NONE_MATCH = header("If-None-Match", "ETags that are known already.")


def described(view: type[T]) -> type[T]:
    """A view with a schema of drf-spectacular's, whatever the host's DEFAULT_SCHEMA_CLASS is."""
    if IS_INSTALLED:
        view.schema = openapi.AutoSchema()  # type: ignore[attr-defined]
    return view


def _response(answer: Any) -> Any:
    if isinstance(answer, str):
        return utils.OpenApiResponse(description=answer)
    if isinstance(answer, tuple):
        return utils.OpenApiResponse(answer[0], description=answer[1])
    return answer
