"""The tables that the migrations make are those of the models, and nothing is left of them."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection, models
from django_test_migrations.checks.autonames import check_migration_names
from django_test_migrations.migrator import Migrator

import auditwebhooks
from auditwebhooks.models import Event, Webhook
from tests.testapp.models import Article

MODELS = list(apps.get_app_config("auditwebhooks").get_models())


def tables() -> set[str]:
    names = connection.introspection.table_names()
    return {name for name in names if name.startswith("auditwebhooks_")}


def is_supported(part: models.Index | models.BaseConstraint) -> bool:
    """Whether this database makes it, as Django says."""
    features = connection.features
    if isinstance(part, models.CheckConstraint):
        return features.supports_table_check_constraints
    if getattr(part, "condition", None) is not None:
        return features.supports_partial_indexes
    return features.supports_expression_indexes or not part.contains_expressions  # type: ignore[union-attr]


def test_migrations_are_named_for_what_they_do() -> None:
    assert [one.msg for one in check_migration_names() if "auditwebhooks" in one.msg] == []


@pytest.mark.django_db
def test_there_is_a_table_for_each_model_and_no_other() -> None:
    assert tables() == {model._meta.db_table for model in MODELS}


@pytest.mark.django_db
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_columns_indexes_and_constraints_are_those_of_the_model(model: Any) -> None:
    table = model._meta.db_table
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(cursor, table)
        found = connection.introspection.get_constraints(cursor, table)
    expected = {
        part.name
        for part in (*model._meta.indexes, *model._meta.constraints)
        if is_supported(part)
    }
    assert {one.name for one in columns} == {one.column for one in model._meta.concrete_fields}
    assert expected <= set(found)


def test_backwards_takes_its_tables_alone_and_forwards_brings_them_back(
    migrator: Migrator,
) -> None:
    with auditwebhooks.paused():
        article = Article.objects.create(title="The host's")
        Group.objects.create(name="Auditors")
    Webhook.objects.create(name="Receiver", url="https://hooks.example.com/")
    others = set(connection.introspection.table_names()) - tables()

    state = migrator.apply_tested_migration(("auditwebhooks", None))

    assert tables() == set()
    assert set(connection.introspection.table_names()) == others
    assert not [one for one in state.models if one[0] == "auditwebhooks"]
    assert [one.title for one in Article.objects.all()] == ["The host's"]
    assert Group.objects.filter(name="Auditors").exists()

    migrator.apply_tested_migration(("auditwebhooks", "0001_initial"))

    assert not Webhook.objects.exists()
    article.title = "Still the host's"
    article.save()
    assert Event.objects.get().payload["data"]["target_name"] == str(article)
