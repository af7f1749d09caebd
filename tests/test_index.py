"""The API's root: links that can be followed, to those who may."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from django.urls import include, path

from auditwebhooks.api.openapi import IS_INSTALLED
from tests.factories import someone
from tests.test_api_permissions import ROLES, client_of

pytestmark = pytest.mark.django_db

URL = "/api/audit/"
PATHS = {"webhooks", "invocations", "events", "event-types", "payload-schema"} | (
    {"schema"} if IS_INSTALLED else set()
)


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"anonymous", "nobody"}))
def test_a_link_is_told_to_those_who_may_follow_it(role: str) -> None:
    client = client_of(role)
    may = {one for one in PATHS if client.get(f"{URL}{one}/").status_code == 200}

    answer = client.get(URL)

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {one: f"http://testserver{URL}{one}/" for one in may}


def test_who_may_all_is_told_all_in_this_order() -> None:
    told = list(client_of("all").get(URL).json())

    assert told[:5] == ["webhooks", "invocations", "events", "event-types", "payload-schema"]
    assert set(told) == PATHS


@pytest.mark.parametrize("role", ["anonymous", "nobody"])
def test_it_is_for_those_who_use_the_app(role: str) -> None:
    answer = client_of(role).get(URL)

    assert answer.status_code in (401, 403)
    assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize(
    ("mounted", "prefix"),
    [
        (path("<slug:team>/log/", include("auditwebhooks.api.urls")), "/blue/log/"),
        (path("log/", include("auditwebhooks.api.urls", namespace="second")), "/log/"),
        (path("", include("auditwebhooks.api.urls")), "/"),
    ],
)
def test_the_links_lead_where_the_host_has_it(settings: Any, mounted: Any, prefix: str) -> None:
    urlconf = ModuleType("tests.mounted")
    urlconf.urlpatterns = [mounted]  # type: ignore[attr-defined]
    sys.modules["tests.mounted"] = urlconf
    settings.ROOT_URLCONF = "tests.mounted"

    told = someone("view_event").get(prefix).json()

    assert told["events"] == f"http://testserver{prefix}events/"
