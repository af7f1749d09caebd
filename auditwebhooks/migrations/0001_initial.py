import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Replay",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("webhook_name", models.CharField(max_length=100, verbose_name="webhook name")),
                ("since", models.DateTimeField(verbose_name="since")),
                ("until", models.DateTimeField(verbose_name="until")),
                (
                    "event_types",
                    models.JSONField(blank=True, default=list, verbose_name="event types"),
                ),
                (
                    "only_failed",
                    models.BooleanField(
                        default=False, verbose_name="only failed or never attempted"
                    ),
                ),
                ("requested_by", models.CharField(max_length=255, verbose_name="requested by")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("running", "running"),
                            ("finished", "finished"),
                            ("cancelled", "cancelled"),
                        ],
                        default="running",
                        max_length=10,
                        verbose_name="status",
                    ),
                ),
                ("count", models.PositiveIntegerField(default=0, verbose_name="events")),
                ("queued", models.PositiveIntegerField(default=0, verbose_name="queued")),
                ("cursor_time", models.DateTimeField(editable=False, null=True)),
                ("cursor", models.BigIntegerField(editable=False, null=True)),
                ("batch_end", models.BigIntegerField(editable=False, null=True)),
                ("previous_batch_end", models.BigIntegerField(editable=False, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                (
                    "finished_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="finished at"),
                ),
            ],
            options={
                "verbose_name": "replay",
                "verbose_name_plural": "replays",
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Wake",
            fields=[
                ("slot", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        choices=[("idle", "idle"), ("pending", "pending"), ("running", "running")],
                        max_length=10,
                    ),
                ),
                ("token", models.CharField(max_length=32)),
                ("until", models.DateTimeField()),
                ("seen_at", models.DateTimeField(null=True)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Webhook",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                ("name_key", models.CharField(editable=False, max_length=64)),
                ("active", models.BooleanField(default=True, verbose_name="active")),
                (
                    "type",
                    models.CharField(
                        choices=[("http", "HTTP Webhook")],
                        default="http",
                        max_length=20,
                        verbose_name="type",
                    ),
                ),
                (
                    "method",
                    models.CharField(
                        choices=[
                            ("POST", "POST"),
                            ("PUT", "PUT"),
                            ("PATCH", "PATCH"),
                            ("DELETE", "DELETE"),
                            ("GET", "GET"),
                        ],
                        default="POST",
                        max_length=10,
                        verbose_name="method",
                    ),
                ),
                ("url", models.TextField(verbose_name="URL")),
                (
                    "body_template",
                    models.TextField(
                        blank=True,
                        default='{\n    "event_type": "{{event_type}}",\n    "event_time": "{{event_time}}",\n    "data": {\n        "timestamp": "{{data.timestamp}}",\n        "action": "{{data.action}}",\n        "actor_id": "{{data.actor_id}}",\n        "actor_name": "{{data.actor_name}}",\n        "actor_type": "{{data.actor_type}}",\n        "source": "{{data.source}}",\n        "target_id": "{{data.target_id}}",\n        "target_type": "{{data.target_type}}",\n        "target_name": "{{data.target_name}}",\n        "metadata": "{{data.metadata}}",\n        "current_target_object": "{{data.current_target_object}}",\n        "previous_target_object": "{{data.previous_target_object}}"\n    }\n}',
                        verbose_name="body template",
                    ),
                ),
                ("headers", models.TextField(blank=True, verbose_name="headers")),
                (
                    "timeout_in_sec",
                    models.PositiveSmallIntegerField(
                        blank=True, null=True, verbose_name="timeout in seconds"
                    ),
                ),
                (
                    "response_validators",
                    models.JSONField(blank=True, default=list, verbose_name="response validators"),
                ),
                (
                    "max_attempts",
                    models.PositiveSmallIntegerField(
                        blank=True, null=True, verbose_name="most attempts"
                    ),
                ),
                (
                    "retry_on_validation",
                    models.BooleanField(
                        default=False, verbose_name="retry when a validator fails"
                    ),
                ),
                (
                    "max_per_minute",
                    models.PositiveIntegerField(
                        blank=True, null=True, verbose_name="most calls a minute"
                    ),
                ),
                (
                    "event_types",
                    models.JSONField(blank=True, default=list, verbose_name="event types"),
                ),
                ("signing_secret", models.TextField(blank=True, verbose_name="signing secret")),
                ("previous_signing_secret", models.TextField(blank=True, editable=False)),
                ("previous_signing_secret_until", models.DateTimeField(editable=False, null=True)),
                ("active_periods", models.JSONField(default=list, editable=False)),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
            ],
            options={
                "verbose_name": "webhook",
                "verbose_name_plural": "webhooks",
                "permissions": [("test_webhook", "Can send a test to a webhook")],
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("event_id", models.CharField(max_length=36, verbose_name="event ID")),
                ("event_type", models.CharField(max_length=255, verbose_name="event type")),
                ("created_at", models.DateTimeField(verbose_name="time")),
                ("action", models.CharField(max_length=255, verbose_name="action")),
                ("actor_id", models.CharField(max_length=255, verbose_name="actor ID")),
                ("actor_name", models.CharField(max_length=255, verbose_name="actor")),
                (
                    "actor_type",
                    models.CharField(
                        choices=[
                            ("user", "user"),
                            ("service_account", "service account"),
                            ("system", "system"),
                            ("anonymous", "anonymous"),
                        ],
                        max_length=255,
                        verbose_name="actor type",
                    ),
                ),
                ("source", models.CharField(max_length=255, verbose_name="source")),
                (
                    "target_type",
                    models.CharField(blank=True, max_length=255, verbose_name="target type"),
                ),
                (
                    "target_id",
                    models.CharField(
                        blank=True, max_length=255, null=True, verbose_name="target ID"
                    ),
                ),
                (
                    "target_name",
                    models.CharField(blank=True, max_length=255, verbose_name="target"),
                ),
                ("payload_text", models.TextField(verbose_name="payload")),
                (
                    "fanned_out_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="fanned out at"),
                ),
            ],
            options={
                "verbose_name": "event",
                "verbose_name_plural": "events",
                "permissions": [("see_payload", "Can see payloads and bodies")],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(
                        fields=["fanned_out_at", "id"], name="auditwebhooks_event_fanout"
                    ),
                    models.Index(
                        fields=["created_at", "id", "action", "source"],
                        name="auditwebhooks_event_time",
                    ),
                    models.Index(
                        fields=["action", "created_at", "id"], name="auditwebhooks_event_action"
                    ),
                    models.Index(
                        fields=["source", "created_at", "id"], name="auditwebhooks_event_source"
                    ),
                    models.Index(
                        fields=["target_type", "id", "actor_type"], name="auditwebhooks_event_kind"
                    ),
                    models.Index(fields=["target_id", "id"], name="auditwebhooks_event_target"),
                    models.Index(fields=["actor_id", "id"], name="auditwebhooks_event_actor"),
                    models.Index(fields=["event_type", "id"], name="auditwebhooks_event_type"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("event_id",), name="auditwebhooks_event_id")
                ],
            },
        ),
        migrations.CreateModel(
            name="IdempotencyKey",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("digest", models.CharField(max_length=64)),
                ("body_digest", models.CharField(max_length=64)),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("answer", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("digest",), name="auditwebhooks_idempotency")
                ],
            },
        ),
        migrations.CreateModel(
            name="Invocation",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("webhook_name", models.CharField(max_length=100, verbose_name="webhook name")),
                (
                    "trigger",
                    models.CharField(
                        choices=[
                            ("event", "event"),
                            ("retry", "retry"),
                            ("manual", "manual"),
                            ("replay", "replay"),
                            ("test", "test"),
                        ],
                        max_length=10,
                        verbose_name="trigger",
                    ),
                ),
                ("attempt", models.PositiveSmallIntegerField(default=1, verbose_name="attempt")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "pending"),
                            ("sending", "sending"),
                            ("succeeded", "succeeded"),
                            ("failed", "failed"),
                        ],
                        default="pending",
                        max_length=10,
                        verbose_name="status",
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("success", "success"),
                            ("http_status", "HTTP status"),
                            ("validation", "response validation"),
                            ("timeout", "timeout"),
                            ("connection", "connection"),
                            ("tls", "TLS"),
                            ("dns", "DNS"),
                            ("blocked_address", "blocked address"),
                            ("invalid_url", "invalid URL"),
                            ("template", "body template"),
                            ("config", "configuration"),
                            ("cancelled", "cancelled"),
                            ("error", "error"),
                        ],
                        max_length=20,
                        verbose_name="outcome",
                    ),
                ),
                ("message", models.TextField(blank=True, verbose_name="message")),
                (
                    "request_method",
                    models.CharField(blank=True, max_length=10, verbose_name="request method"),
                ),
                ("request_url", models.TextField(blank=True, verbose_name="request URL")),
                (
                    "request_headers",
                    models.JSONField(blank=True, default=dict, verbose_name="request headers"),
                ),
                ("request_body", models.TextField(blank=True, verbose_name="request body")),
                (
                    "response_status",
                    models.PositiveSmallIntegerField(
                        blank=True, null=True, verbose_name="response status"
                    ),
                ),
                (
                    "response_headers",
                    models.JSONField(blank=True, default=dict, verbose_name="response headers"),
                ),
                ("response_body", models.TextField(blank=True, verbose_name="response body")),
                (
                    "response_truncated",
                    models.BooleanField(default=False, verbose_name="response cut"),
                ),
                (
                    "validation_results",
                    models.JSONField(blank=True, default=list, verbose_name="validation results"),
                ),
                (
                    "duration_ms",
                    models.PositiveIntegerField(
                        blank=True, null=True, verbose_name="duration in ms"
                    ),
                ),
                ("timings", models.JSONField(blank=True, default=dict, verbose_name="timings")),
                ("created_at", models.DateTimeField(verbose_name="created at")),
                ("due_at", models.DateTimeField(verbose_name="due at")),
                (
                    "started_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="started at"),
                ),
                (
                    "finished_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="finished at"),
                ),
                ("order_key", models.BigIntegerField(editable=False, null=True)),
                ("claim_token", models.CharField(blank=True, editable=False, max_length=32)),
                ("lease_until", models.DateTimeField(editable=False, null=True)),
                ("claims", models.PositiveSmallIntegerField(default=0, editable=False)),
                (
                    "event",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="invocations",
                        to="auditwebhooks.event",
                        verbose_name="event",
                    ),
                ),
                (
                    "replay",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="invocations",
                        to="auditwebhooks.replay",
                        verbose_name="replay",
                    ),
                ),
            ],
            options={
                "verbose_name": "invocation",
                "verbose_name_plural": "invocations",
                "permissions": [("resend_invocation", "Can send an invocation again")],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="WebhookHealth",
            fields=[
                (
                    "webhook",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="health",
                        serialize=False,
                        to="auditwebhooks.webhook",
                    ),
                ),
                ("last_success_at", models.DateTimeField(null=True)),
                ("last_failure_at", models.DateTimeField(null=True)),
                ("consecutive_failures", models.PositiveIntegerField(default=0)),
                ("failing_since", models.DateTimeField(null=True)),
                ("outages", models.PositiveIntegerField(default=0)),
                ("outage_since", models.DateTimeField(null=True)),
                ("openings", models.PositiveSmallIntegerField(default=0)),
                ("probe_id", models.BigIntegerField(null=True)),
                ("paused_until", models.DateTimeField(null=True)),
                (
                    "pause_reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("retry_after", "the receiver asked to wait"),
                            ("configuration", "the configuration must be mended"),
                            ("breaker", "the receiver fails"),
                        ],
                        max_length=20,
                    ),
                ),
                ("paused_configuration", models.DateTimeField(null=True)),
                ("disabled_reason", models.CharField(blank=True, max_length=255)),
            ],
            options={
                "verbose_name": "webhook health",
                "verbose_name_plural": "webhook health",
                "default_permissions": (),
            },
        ),
        migrations.AddIndex(
            model_name="webhook",
            index=models.Index(
                fields=["created_at", "id", "active", "method"], name="auditwebhooks_webhook_time"
            ),
        ),
        migrations.AddConstraint(
            model_name="webhook",
            constraint=models.UniqueConstraint(
                fields=("name_key",), name="auditwebhooks_webhook_name"
            ),
        ),
        migrations.AddField(
            model_name="replay",
            name="webhook",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="replays",
                to="auditwebhooks.webhook",
                verbose_name="webhook",
            ),
        ),
        migrations.AddField(
            model_name="invocation",
            name="webhook",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="invocations",
                to="auditwebhooks.webhook",
                verbose_name="webhook",
            ),
        ),
        migrations.AddIndex(
            model_name="invocation",
            index=models.Index(
                fields=["webhook", "status", "due_at", "id"], name="auditwebhooks_inv_due"
            ),
        ),
        migrations.AddIndex(
            model_name="invocation",
            index=models.Index(fields=["status", "lease_until"], name="auditwebhooks_inv_lease"),
        ),
        migrations.AddIndex(
            model_name="invocation",
            index=models.Index(
                fields=["status", "finished_at", "outcome", "trigger"],
                name="auditwebhooks_inv_finished",
            ),
        ),
        migrations.AddIndex(
            model_name="invocation",
            index=models.Index(
                fields=[
                    "created_at",
                    "id",
                    "webhook_name",
                    "trigger",
                    "attempt",
                    "status",
                    "outcome",
                    "response_status",
                ],
                name="auditwebhooks_inv_time",
            ),
        ),
        migrations.AddIndex(
            model_name="invocation",
            index=models.Index(
                condition=models.Q(("trigger", "event"), _negated=True),
                fields=["trigger", "created_at", "id"],
                name="auditwebhooks_inv_trigger",
            ),
        ),
        migrations.AddIndex(
            model_name="invocation",
            index=models.Index(fields=["webhook", "id"], name="auditwebhooks_inv_webhook"),
        ),
        migrations.AddIndex(
            model_name="invocation",
            index=models.Index(
                fields=["webhook", "started_at", "status", "outcome", "trigger"],
                name="auditwebhooks_inv_started",
            ),
        ),
    ]
