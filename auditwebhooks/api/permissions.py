"""Who may do what: Django's model permissions, for reading too."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from rest_framework.permissions import SAFE_METHODS, BasePermission, DjangoModelPermissions
from rest_framework.request import Request
from rest_framework.views import APIView

from auditwebhooks.seeing import may_use_recorded

# The parameter of a test that names a recorded event.
EVENT = "event"

TEST_WEBHOOK = "auditwebhooks.test_webhook"
CHANGE_WEBHOOK = "auditwebhooks.change_webhook"
RESEND = "auditwebhooks.resend_invocation"
VIEW_EVENT = "auditwebhooks.view_event"
VIEW_WEBHOOK = "auditwebhooks.view_webhook"
VIEW_REPLAY = "auditwebhooks.view_replay"


class ModelPermissions(DjangoModelPermissions):
    """As Django REST Framework's own, which asks nothing of readers."""

    perms_map = {
        **DjangoModelPermissions.perms_map,
        "GET": ["%(app_label)s.view_%(model_name)s"],
        "HEAD": ["%(app_label)s.view_%(model_name)s"],
        "OPTIONS": ["%(app_label)s.view_%(model_name)s"],
    }


class MayTest(DjangoModelPermissions):
    """Testing saved values takes the right to test; other values the right to save them, and a
    recorded event the right to see it, too."""

    def get_required_permissions(self, method: str, model_cls: type[Model]) -> list[str]:
        return [TEST_WEBHOOK]

    def has_permission(self, request: Request, view: APIView) -> bool:
        return (
            super().has_permission(request, view)
            and self._may_give_values(request, view)
            and self._may_send_event(request)
        )

    @staticmethod
    def _may_send_event(request: Request) -> bool:
        """Whoever may not see a recorded event sends it nowhere."""
        return EVENT not in request.query_params or may_use_recorded(request.user)

    @staticmethod
    def _may_give_values(request: Request, view: Any) -> bool:
        if "pk" not in view.kwargs:
            return bool(request.user.has_perm("auditwebhooks.add_webhook"))
        return not request.data or bool(request.user.has_perm(CHANGE_WEBHOOK))


class MayResend(DjangoModelPermissions):
    """Sending again what was sent, and replays."""

    def get_required_permissions(self, method: str, model_cls: type[Model]) -> list[str]:
        return [RESEND]


class MayReplay(MayResend):
    """The replays of a webhook may be read by their viewers, too."""

    def get_required_permissions(self, method: str, model_cls: type[Model]) -> list[str]:
        return [] if method in SAFE_METHODS else [RESEND]

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not super().has_permission(request, view):
            return False
        return any(request.user.has_perm(name) for name in (RESEND, VIEW_REPLAY))


class MayChange(DjangoModelPermissions):
    """An action that changes a webhook, whatever its method."""

    def get_required_permissions(self, method: str, model_cls: type[Model]) -> list[str]:
        return [CHANGE_WEBHOOK]


class MayUseTheApp(BasePermission):
    """What the API looks like, for those who have any permission of it."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.user.has_module_perms("auditwebhooks"))


class MayKnowEvents(BasePermission):
    """What events look like, for those who see them and those who see what they are sent to."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return any(request.user.has_perm(name) for name in (VIEW_EVENT, VIEW_WEBHOOK))
