"""Conditions on the app's own tables mean on each database what Django's mean."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from auditwebhooks.models import Invocation
from auditwebhooks.querysets import Among
from tests.factories import make_invocation, make_webhook

pytestmark = pytest.mark.django_db

LARGEST = 2**63 - 1


@pytest.mark.parametrize("numbers", [[], [7], [7, -LARGEST, LARGEST], [8], [*range(2000)]])
def test_among_is_in(numbers: Sequence[int]) -> None:
    webhook = make_webhook()
    for key in (7, 9, -LARGEST, LARGEST, None):
        make_invocation(webhook, order_key=key)
    rows = Invocation.objects.all()

    for found, expected in (
        (rows.filter(Among("order_key", numbers)), rows.filter(order_key__in=numbers)),
        (
            rows.exclude(Among("order_key", numbers), order_key__isnull=False),
            rows.exclude(order_key__in=numbers),
        ),
        (
            rows.filter(Among("order_key", numbers)).select_related("event", "webhook"),
            rows.filter(order_key__in=numbers),
        ),
    ):
        assert set(found) == set(expected)


def test_among_changes_those_alone() -> None:
    one, another = (make_invocation(make_webhook()) for _ in range(2))

    assert Invocation.objects.filter(Among("pk", [one.pk])).update(message="told") == 1

    assert dict(Invocation.objects.values_list("pk", "message")) == {
        one.pk: "told",
        another.pk: another.message,
    }


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL knows arrays")
def test_a_thousand_keys_are_one_parameter() -> None:
    found = Invocation.objects.filter(Among("pk", range(1000)))

    with CaptureQueriesContext(connection) as queries:
        assert list(found) == []

    assert "= ANY ('{0,1,2," in queries[0]["sql"]
    statement, parameters = found.query.sql_with_params()
    assert (statement.count("%s"), len(parameters)) == (1, 1)
