"""Every change made while a request is handled knows the request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

from auditwebhooks.context import Context, within


class AuditContextMiddleware:
    """Put it after AuthenticationMiddleware. The user is asked for when a change is recorded, not
    here, so that authentication inside views (DRF) counts. Works under WSGI and ASGI."""

    sync_capable = True
    async_capable = True

    def __init__(
        self,
        get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
    ) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._acall(request)
        with within(Context(request=request)):
            return self.get_response(request)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        with within(Context(request=request)):
            response = self.get_response(request)
            return await response if isinstance(response, Awaitable) else response
