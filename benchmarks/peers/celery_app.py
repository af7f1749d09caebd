"""The Celery application of the side that sends with django-webhook.

    python -m benchmarks.peers.celery_app URL COUNT

puts so many deliveries of the body that is read from stdin into the queue. CELERY_PREFIX stands
before every key in Redis.
"""

from __future__ import annotations

import os
import sys

from celery import Celery

app = Celery("benchmarks", include=["django_webhook.tasks"])
app.conf.update(
    broker_url="redis://{}:{}/0".format(
        os.environ.get("REDIS_HOST", "127.0.0.1"), os.environ.get("REDIS_PORT", "6379")
    ),
    broker_transport_options={"global_keyprefix": os.environ.get("CELERY_PREFIX", "")},
)


def main(url: str, count: int) -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django_webhook.models import Webhook
    from django_webhook.tasks import fire_webhook

    call_command("migrate", verbosity=0)
    webhook, _made = Webhook.objects.get_or_create(url=url)
    body = sys.stdin.read()
    for _ in range(count):
        fire_webhook.delay(
            webhook.id, body, topic="peers.Article/create", object_type="peers.Article"
        )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
