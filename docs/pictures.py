"""The pictures of README and documentation, taken of the demo project: `python docs/pictures.py`.

Needs Debian's Chromium (or CHROMIUM, a path) and the packages of the group `test`. Data, ports
and servers are its own, as those of `make demo ARGS=--check` are.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import sync_playwright  # noqa: E402 - as what follows: see above

from project import storage  # noqa: E402
from project.demo import __main__ as demo  # noqa: E402
from project.demo import sockets  # noqa: E402
from project.demo.processes import Processes  # noqa: E402
from project.demo.stopping import Stopping  # noqa: E402

FOLDER = ROOT / "docs" / "images"
WIDTH = 1280
MOST_BYTES = 200_000
APP = "auditwebhooks/"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="auditwebhooks-pictures-") as folder:
        os.environ[storage.FOLDER_VARIABLE] = folder
        # Playwright runs a loop of its own in this thread.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
        ports = sockets.free_ports()
        demo._set_up(ports)
        from project.demo import data, stack

        with Processes(demo._log_folder(), Stopping(), 60) as processes:
            data.prepare(ports)
            running = stack.start(processes, ports)
            processes.wait_for(nothing_waits, running.worker, "Something is still waiting.")
            # Nothing of what follows is to be sent anywhere.
            running.worker.end()
            with opened(ports.admin_url) as page:
                log_in(page, data)
                keys = history(data.WEBHOOK)
                take_all(page, keys, ports.receiver_url)


def nothing_waits() -> bool:
    from auditwebhooks.models import Event, Invocation

    waiting = Invocation.objects.exclude(status__in=["succeeded", "failed", "cancelled"])
    return not waiting.exists() and not Event.objects.filter(fanned_out_at=None).exists()


# --- a day of somebody's product ----------------------------------------------------------


def history(own: str) -> dict[str, int]:
    """Changes by several people, webhooks in each state, and a day of deliveries."""
    from django.db.models import QuerySet
    from django.utils import timezone

    import auditwebhooks
    from auditwebhooks.models import Event, Invocation, Webhook, WebhookHealth
    from project.access.models import AccessFlow

    now = timezone.now()
    chance = random.Random(6)  # noqa: S311 - the same pictures each time
    with auditwebhooks.paused():
        siem = _webhook("SIEM", "https://siem.example.com/services/collector")
        chat = _webhook("Security chat", "https://chat.example.com/hooks/audit", ["access.*"])
        tickets = _webhook("Ticket system", "https://tickets.example.com/api/events")
        _webhook("Old collector", "https://old.example.com/in", active=False)
        WebhookHealth.objects.create(
            webhook=chat,
            paused_until=now + timedelta(minutes=20),
            pause_reason="retry_after",
            consecutive_failures=4,
            last_failure_at=now - timedelta(minutes=3),
            failing_since=now - timedelta(minutes=31),
            last_success_at=now - timedelta(minutes=42),
        )
        Webhook.objects.filter(pk=tickets.pk).update(active=False)
        WebhookHealth.objects.create(
            webhook=tickets,
            disabled_reason="The receiver answered 410 Gone.",
            consecutive_failures=1,
            last_failure_at=now - timedelta(hours=5),
            failing_since=now - timedelta(hours=5),
            last_success_at=now - timedelta(hours=6),
        )
    _changes(AccessFlow)
    local = Webhook.objects.get(name=own)
    events = list(Event.objects.order_by("-pk")[:40])
    for hours in range(24):
        for _ in range(chance.randint(4, 22)):
            at = now - timedelta(hours=hours, seconds=chance.randint(1, 3500))
            webhook = chance.choice([local, siem, siem, chat])
            fails = chance.random() < (0.6 if webhook == chat and hours < 2 else 0.06)
            _attempt(Invocation, webhook, chance.choice(events), at, fails)
    # Recorded at the times of the day, too: what is oldest first.
    # The app's own querysets refuse it.
    every = QuerySet(Event)
    for number, pk in enumerate(every.order_by("-pk").values_list("pk", flat=True)):
        at = now - timedelta(minutes=3 + 37 * number + chance.randint(0, 30))
        every.filter(pk=pk).update(created_at=at, fanned_out_at=at)
    failed = _attempt(Invocation, chat, events[0], now - timedelta(minutes=3), True)
    changed = Event.objects.filter(event_type="access.accessflow.updated").latest("pk")
    return {"event": changed.pk, "invocation": failed.pk}


def _webhook(name: str, url: str, types: Any = (), *, active: bool = True) -> Any:
    from auditwebhooks.models import Webhook

    return Webhook.objects.create(
        name=name,
        url=url,
        event_types=list(types),
        active=active,
        headers={"Authorization": "Bearer token-of-the-demo"},
    )


def _changes(flows: Any) -> None:
    from django.contrib.auth.models import User

    import auditwebhooks

    people = {one.username: one for one in User.objects.all()}
    changes = [
        ("ada", "Developers deploy to staging", {"max_hours": 6}),
        ("grace", "On-call mends production", {"approval": "approver", "max_hours": 8}),
        ("ada", "Auditors look at repositories", {"status": "active"}),
        ("admin", "Support reads invoices", {"status": "paused"}),
        ("admin", "Support reads invoices", {"status": "active"}),
        (
            "grace",
            "Support reads invoices",
            {
                "max_hours": 2,
                "approval": "on_call",
                "conditions": {"weekdays": ["Mon", "Tue", "Wed", "Thu"], "ticket": True},
            },
        ),
    ]
    for who, name, values in changes:
        flow = flows.objects.get(name=name)
        for field, value in values.items():
            setattr(flow, field, value)
        with auditwebhooks.context(actor=people[who], source="web application"):
            flow.save()


def _attempt(model: Any, webhook: Any, event: Any, at: Any, fails: bool) -> Any:
    return model.objects.create(
        webhook=webhook,
        webhook_name=webhook.name,
        event=event,
        trigger="event",
        status="failed" if fails else "succeeded",
        outcome="http_status" if fails else "success",
        message="The receiver answered 401 Unauthorized." if fails else "",
        created_at=at,
        due_at=at,
        started_at=at,
        finished_at=at,
        request_method="POST",
        request_url=f"https://{urlsplit(webhook.url).netloc}/***",
        request_headers={
            "Content-Type": "application/json",
            "Authorization": "***",
            "webhook-id": event.event_id,
        },
        request_body=event.payload_text,
        response_status=401 if fails else 200,
        response_headers={"Content-Type": "application/json"},
        response_body='{"error": "token expired"}' if fails else '{"data": {"ok": true}}',
        duration_ms=118,
        timings={"resolve": 4, "connect": 12, "tls": 31, "send": 1, "wait": 68, "read": 2},
    )


# --- pictures -----------------------------------------------------------------------------


@contextmanager
def opened(url: str) -> Iterator[Any]:
    with sync_playwright() as running:
        program = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = browser.new_context(
            base_url=url, locale="en-US", viewport={"width": WIDTH, "height": 860}
        )
        yield context.new_page()
        browser.close()


def log_in(page: Any, data: Any) -> None:
    page.goto("login/")
    page.get_by_label("Username").fill(data.USER)
    page.get_by_label("Password").fill(data.PASSWORD)
    page.get_by_role("button", name="Log in").click()
    # The navigation beside the pages is not what they are about.
    page.evaluate("localStorage.setItem('django.admin.navSidebarIsOpen', 'false')")


def take_all(page: Any, keys: dict[str, int], receiver: str) -> None:
    page.goto(APP)
    take(page, "dashboard", "#content", 700)
    page.goto(f"{APP}event/")
    take(page, "events", "#content", 700)
    page.goto(f"{APP}event/{keys['event']}/change/")
    take(page, "event-diff", "#content", 840)
    page.goto(f"{APP}invocation/{keys['invocation']}/change/")
    take(page, "invocation", "#content", 900)
    page.goto(f"{APP}webhook/add/")
    page.get_by_label("Audit Webhook Name").fill("SIEM of the platform team")
    page.get_by_label("URL:", exact=True).fill("https://siem.example.com/services/collector")
    page.get_by_label("Key").first.fill("Authorization")
    page.get_by_label("Value", exact=True).first.fill("Bearer token-of-the-demo")
    take(page, "webhook-form", "#content", 1270)
    page.get_by_label("URL:", exact=True).fill(receiver)
    page.get_by_label("Body Template").fill(
        '{"event": "{{event_type}}", "actor": "{{data.actor_id}}",'
        ' "object": "{{data.current_target_object}}"}'
    )
    page.get_by_label("JSON Path").first.fill("$.data.ok")
    page.get_by_label("Expected Values").first.fill("true")
    page.get_by_label("Expected Values").first.press("Enter")
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_text("Test successful").wait_for(timeout=8_000)
    page.get_by_text("View Invocation Data").click()
    page.get_by_role("heading", name="Response", exact=True).wait_for()
    take(page, "test-panel", ".auditwebhooks-test", 1400)


def take(page: Any, name: str, first: str, height: int) -> None:
    """From the first element on, as high as this or as the page is."""
    page.evaluate("document.activeElement.blur()")
    # A window that shows the whole page: what scrolls inside it does not, then.
    page.set_viewport_size({"width": WIDTH, "height": 3500})
    # Where it was scrolled to before would be in what is measured.
    page.evaluate("scrollTo(0, 0)")
    top = page.locator(first).bounding_box()["y"]
    end = page.locator("#content").bounding_box()
    height = min(height, end["y"] + end["height"] - top)
    path = FOLDER / f"{name}.png"
    clip = {"x": 0, "y": top, "width": WIDTH, "height": height}
    page.screenshot(path=str(path), full_page=True, clip=clip)
    if path.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{path} has more than {MOST_BYTES} bytes.")


if __name__ == "__main__":
    main()
