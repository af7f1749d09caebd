from __future__ import annotations

from django.apps import AppConfig, apps
from django.core.checks import register
from django.utils.translation import gettext_lazy


class AuditWebhooksConfig(AppConfig):
    name = "auditwebhooks"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = gettext_lazy("Audit webhooks")

    def ready(self) -> None:
        """Wires everything together; no query, no network."""
        from auditwebhooks import checks

        register(checks.check_settings, checks.TAG)
        register(checks.check_installation, checks.TAG)
        register(checks.check_models, checks.TAG)
        register(checks.check_deployment, checks.TAG, deploy=True)
        if not apps.is_installed("django_q"):
            # A check says so; nothing works without the queue.
            return

        from auditwebhooks import instrument, queue, workers
        from auditwebhooks.conf import conf
        from auditwebhooks.receivers import schedule, webhooks
        from auditwebhooks.registry import registry

        register(workers.check_cluster, checks.TAG)
        register(workers.check_deployment, checks.TAG, deploy=True)
        registry.load(conf.models)
        registry.on_add(instrument.audit)
        instrument.audit_webhooks()
        webhooks.connect()
        schedule.connect(self)
        queue.connect_signals()
