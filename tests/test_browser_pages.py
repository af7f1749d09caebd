"""Every page of the admin in a real browser: the seed's steps from login to delivery, by mouse and
by keyboard, under a strict Content-Security-Policy, with hostile data, and judged by axe."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.utils import timezone

import auditwebhooks
from auditwebhooks.models import Replay, Webhook, WebhookHealth
from auditwebhooks.payload import sample
from auditwebhooks.rules import NAME_LENGTH
from tests.browsing import Opened, picture
from tests.conftest import Inbox
from tests.factories import make_event, make_invocation, make_webhook
from tests.testapp.models import Article

pytestmark = pytest.mark.django_db(transaction=True)

HOSTILE = (
    "\"'><img src=x onerror=alert(1)><svg onload=alert(2)></script></textarea></template>"
    "<script>alert(3)</script><style>*{color:red}</style><a href=javascript:alert(4)>{{ x }}"
)

# Pages by their kind, and a stock page of the same kind.
STOCK = {
    "list": "/admin/auth/user/",
    "form": "/admin/auth/group/{group}/change/",
    "question": "/admin/auth/group/{group}/delete/",
    "index": "/admin/auth/",
}
APP = "/admin/auditwebhooks/"
PAGES = {
    "dashboard": ("index", APP),
    "webhooks": ("list", f"{APP}webhook/"),
    "new webhook": ("form", f"{APP}webhook/add/"),
    "webhook": ("form", f"{APP}webhook/{{webhook}}/change/"),
    "deleting a webhook": ("question", f"{APP}webhook/{{webhook}}/delete/"),
    "rotating a secret": ("question", f"{APP}webhook/{{webhook}}/rotate-secret/"),
    "events": ("list", f"{APP}event/"),
    "event": ("form", f"{APP}event/{{event}}/change/"),
    "sending all events again": ("question", f"{APP}event/send-again/"),
    "invocations": ("list", f"{APP}invocation/"),
    "invocation": ("form", f"{APP}invocation/{{invocation}}/change/"),
    "waiting invocation": ("form", f"{APP}invocation/{{waiting}}/change/"),
    "sending all invocations again": ("question", f"{APP}invocation/send-again/"),
    "replays": ("list", f"{APP}replay/"),
    "replay": ("form", f"{APP}replay/{{replay}}/change/"),
}


@pytest.fixture
def operator() -> User:
    with auditwebhooks.paused():
        return User.objects.create_superuser("op", "op@example.com", "pw")


@pytest.fixture
def opened(browser: Any, served: str, operator: User) -> Iterator[Opened]:
    one = Opened(browser, served, operator)
    yield one
    one.context.close()
    assert one.faults == []


def deliver() -> None:
    call_command("auditwebhooks_deliver", "--once", stdout=io.StringIO())


def payload_with(text: str) -> str:
    """A recorded event whose every word is this text."""
    payload = json.loads(sample(1).as_text())
    data = {name: text if isinstance(value, str) else value for name, value in payload.items()}
    objects = {"title": text, text: [text, {text: text}]}
    data["data"] = {
        **payload["data"],
        **dict.fromkeys(("actor_id", "actor_name", "target_id", "target_name"), text),
        "metadata": {"path": text, text: text},
        "previous_target_object": {**objects, "stars": 3},
        "current_target_object": {**objects, "stars": 4},
    }
    return json.dumps(data)


def keys_of_rows(text: str) -> dict[str, int]:
    """A row of everything that the pages show, with this text wherever a text is stored."""
    now = timezone.now()
    webhook = make_webhook(
        headers={"Authorization": "Bearer canary"},
        response_validators=[{"json_path": "$.data.ok", "expected_values": [text, "true"]}],
    )
    # What no form takes, too.
    Webhook.objects.filter(pk=webhook.pk).update(
        name=text[:NAME_LENGTH], event_types=[text], active=False
    )
    WebhookHealth.objects.create(
        webhook=webhook, disabled_reason=text, last_failure_at=now, consecutive_failures=3
    )
    event = make_event(
        payload_text=payload_with(text),
        fanned_out_at=now,
        **dict.fromkeys(("actor_id", "actor_name", "target_id", "target_name"), text),
    )
    common = {
        "webhook_name": text[:NAME_LENGTH],
        "event": event,
        "due_at": now + timedelta(hours=1),
    }
    failed = make_invocation(
        webhook,
        **common,
        status="failed",
        outcome="validation",
        message=text,
        request_method="POST",
        request_url=f"https://hooks.example.com/{text}",
        request_headers={"X-Own": text, text: text},
        request_body=json.dumps({text: text}),
        response_status=200,
        response_headers={"Content-Type": "text/html", text: text},
        response_body=text,
        response_truncated=True,
        validation_results=[
            {
                "json_path": text,
                "expected_values": [text],
                "found": [text],
                "passed": False,
                "reading": "body",
            }
        ],
        duration_ms=12,
        timings={"connect": 2.5, "tls": 3, "send": 0.5, "wait": 5, "read": 1},
        started_at=now,
        finished_at=now,
    )
    waiting = make_invocation(webhook, **common, attempt=2, trigger="retry")
    replay = Replay.objects.create(
        webhook=webhook,
        webhook_name=text[:NAME_LENGTH],
        since=now - timedelta(days=1),
        until=now,
        event_types=[text],
        requested_by=text,
        count=7,
        queued=3,
    )
    return {
        "webhook": webhook.pk,
        "event": event.pk,
        "invocation": failed.pk,
        "waiting": waiting.pk,
        "replay": replay.pk,
    }


def visit(page: Any, path: str) -> None:
    answer = page.goto(path)
    assert answer.status == 200, path
    assert "/login/" not in page.url


# --- the seed's steps ---------------------------------------------------------------------


def test_from_login_to_a_delivered_webhook(
    browser: Any, served: str, operator: User, inbox: Inbox
) -> None:
    one = Opened(browser, served, operator)
    one.context.clear_cookies()
    page = one.page
    page.goto(f"{APP}webhook/")
    page.get_by_label("Username").fill("op")
    page.get_by_label("Password").fill("pw")
    page.get_by_role("button", name="Log in").click()

    page.get_by_role("link", name="Add webhook").click()
    page.get_by_label("Audit Webhook Name").fill("SIEM 1")
    page.get_by_label("Active").check()
    page.get_by_label("Type:", exact=True).select_option(label="HTTP Webhook")
    page.get_by_label("Method").select_option("POST")
    page.get_by_label("URL:", exact=True).fill(inbox.url)
    page.get_by_label("Body Template").fill(
        '{"event_type": "{{event_type}}", "who": "{{data.actor_id}}",'
        ' "now": "{{data.current_target_object}}"}'
    )
    page.get_by_text("View audit event's payload schema").click()
    page.get_by_role("button", name="{{data.previous_target_object}}", exact=True).wait_for()
    page.get_by_label("Key").first.fill("Authorization")
    page.get_by_label("Value", exact=True).first.fill("Bearer canary")
    page.get_by_label("Timeout in seconds").fill("5")
    page.get_by_label("JSON Path").first.fill("$.data.ok")
    page.get_by_label("Expected Values").first.fill("true")
    page.get_by_label("Expected Values").first.press("Enter")
    page.get_by_label("Event Types:", exact=True).fill("testapp.article.*")
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_text("Test successful").wait_for()
    page.get_by_text("View Invocation Data").click()
    panel = page.locator("#auditwebhooks-result")
    panel.get_by_text("passed").wait_for()
    assert "canary" not in panel.inner_text()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("was added successfully").wait_for()

    page.goto("/admin/testapp/article/add/")
    page.get_by_label("Title").fill("From the browser")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("was added successfully").wait_for()
    deliver()

    trial, delivery = inbox.deliveries
    assert delivery.headers["Authorization"] == "Bearer canary"
    body = json.loads(delivery.body)
    assert (body["event_type"], body["who"]) == ("testapp.article.created", "op@example.com")
    assert body["now"]["title"] == "From the browser"
    assert trial.body != delivery.body

    page.goto(f"{APP}webhook/")
    row = page.get_by_role("row").filter(has_text="SIEM 1")
    assert "Active" in row.inner_text()
    assert row.locator(".auditwebhooks-dot-green").count() == 1
    page.goto(f"{APP}invocation/?status=succeeded")
    page.locator("#result_list th a").first.click()
    page.get_by_role("heading", name="Attempts of this delivery").wait_for()
    assert "From the browser" in page.locator(".auditwebhooks-log").inner_text()
    one.context.close()
    assert one.faults == []


# --- the keyboard -------------------------------------------------------------------------

FOCUSED = """() => {
    const one = document.activeElement;
    const label = one.labels?.[0]?.innerText ?? one.ariaLabel ?? "";
    const words = one.matches("input[type=submit]") ? one.value : one.innerText || label;
    return [one.localName, words.trim().split("\\n")[0]];
}"""


class Keyboard:
    """Somebody who has a keyboard only: Tab, Enter, Space, and letters."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def go_to(self, words: str, *, key: str = "Tab") -> None:
        """Press Tab until what begins with these words, or its label, has the focus."""
        seen = []
        for _ in range(150):
            self.page.keyboard.press(key)
            seen.append(self.page.evaluate(FOCUSED)[1])
            if seen[-1].startswith(words):
                self._is_visible(words)
                return
        raise AssertionError(f"Tab does not lead to {words}: {seen}")

    def _is_visible(self, words: str) -> None:
        """Its outline, border or shadow tells where the focus is."""
        shown = self.page.evaluate(
            """() => {
                const one = document.activeElement;
                const look = () => {
                    const now = getComputedStyle(one);
                    return [
                        now.outline, now.border, now.boxShadow,
                        now.color, now.backgroundColor, now.textDecoration,
                    ].join();
                };
                const focused = look();
                one.blur();
                const blurred = look();
                one.focus();
                return focused !== blurred;
            }"""
        )
        assert shown, f"Nothing shows that {words} has the focus"

    def fill(self, words: str, text: str) -> None:
        self.go_to(words)
        self.page.keyboard.type(text)

    def press(self, words: str, key: str = "Enter", *, by: str = "Tab") -> None:
        self.go_to(words, key=by)
        self.page.keyboard.press(key)


def test_a_keyboard_is_enough(opened: Opened, inbox: Inbox) -> None:
    page = opened.page
    keyboard = Keyboard(page)
    page.goto(f"{APP}webhook/")
    keyboard.press("ADD WEBHOOK")
    page.wait_for_url("**/add/")

    keyboard.fill("Audit Webhook Name", "By keyboard")
    keyboard.fill("URL", inbox.url)
    keyboard.fill("Key", "Authorization")
    keyboard.fill("Value", "Bearer typed")
    keyboard.press("+ Add", "Space")
    # It stands in the new row.
    page.keyboard.type("X-Team")
    keyboard.fill("Value", "blue")
    keyboard.fill("JSON Path", "$.data.ok")
    keyboard.fill("Expected Values", "true")
    page.keyboard.press("Enter")
    page.keyboard.type("yes")
    page.keyboard.press("Enter")
    keyboard.fill("Event Types", "testapp.article.*")
    keyboard.press("Test", "Space")
    page.get_by_text("Test successful").wait_for()
    keyboard.press("View Invocation Data")
    page.get_by_role("heading", name="Response", exact=True).wait_for()
    keyboard.go_to("Save and add another", key="Shift+Tab")
    keyboard.press("Save", by="Shift+Tab")
    page.get_by_text("was added successfully").wait_for()

    assert dict(inbox.deliveries[0].headers.items())["X-Team"] == "blue"
    assert Webhook.objects.get().response_validators == [
        {"json_path": "$.data.ok", "expected_values": ["true", "yes"]}
    ]
    Article.objects.create(title="Sent twice")
    deliver()
    assert len(inbox.deliveries) == 2

    page.goto(f"{APP}invocation/?trigger=event")
    keyboard.go_to(page.locator("#result_list th a").first.inner_text())
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Attempts of this delivery").wait_for()
    keyboard.press("Send again", "Space")
    page.get_by_text("queued").first.wait_for()
    deliver()
    assert len(inbox.deliveries) == 3
    assert inbox.deliveries[2].body == inbox.deliveries[1].body


# --- strict policy, hostile data ----------------------------------------------------------


def test_every_page_keeps_the_strict_policy_and_runs_no_stored_text(opened: Opened) -> None:
    """Of the text not even an element may arise: a policy is the host's, and may be missing."""
    keys = keys_of_rows(HOSTILE)
    page = opened.page
    found = {}
    for name, (_kind, path) in PAGES.items():
        visit(page, path.format(**keys))
        made = page.locator("[onerror], [onload], [href^=javascript], [src=x]").count()
        if made or opened.faults:
            found[name] = (made, list(opened.faults))
            opened.faults.clear()
        assert page.content().count("alert(1)") or name == "new webhook", name

    assert found == {}


def test_nothing_runs_where_there_is_no_policy(browser: Any, served: str, operator: User) -> None:
    keys = keys_of_rows(HOSTILE)
    one = Opened(browser, served, operator, bypass_csp=True)
    for _kind, path in PAGES.values():
        visit(one.page, path.format(**keys))
        for details in one.page.locator("#content details").all():
            details.evaluate("one => one.open = true")
    one.context.close()

    assert one.faults == []


def test_a_breach_of_the_policy_would_be_seen(browser: Any, served: str, operator: User) -> None:
    one = Opened(browser, served, operator)
    visit(one.page, f"{APP}webhook/")
    with one.page.expect_event("console"):
        one.page.evaluate("document.body.setAttribute('style', 'color: red')")
        one.page.evaluate("document.body.innerHTML += '<img src=data: onerror=alert(1)>'")
    one.context.close()

    assert "Content Security Policy" in one.faults[0]


# --- accessibility ------------------------------------------------------------------------

Violations = dict[str, list[str]]
Judge = Callable[[Any, bool | None], Violations]

# What of ours is broken: where it stands in what the package adds to a page.
OURS = """selectors => selectors.filter(one =>
    document.querySelector(one)?.closest('[class*="auditwebhooks-"], [id*="auditwebhooks-"]'))"""


@pytest.fixture(scope="module")
def judge() -> Judge:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing"
    ).Axe()

    def violations(page: Any, colours: bool | None) -> Violations:
        """Rule -> where it is broken: rules about colours (True), the others, or all (None)."""
        colour_rules = ["color-contrast", "link-in-text-block"]
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if colours:
            options["runOnly"] = colour_rules
        elif colours is not None:
            options["rules"] = {rule: {"enabled": False} for rule in colour_rules}
        found = axe.run(page, options=options).response["violations"]
        return {one["id"]: [node["target"][0] for node in one["nodes"]] for one in found}

    return violations


def width_of(page: Any) -> int:
    """More than the window's where the page scrolls sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth"))


@pytest.mark.parametrize(
    ("name", "colours", "options"),
    [
        ("light", None, {}),
        # Nothing but the colours is another.
        ("dark", True, {"color_scheme": "dark"}),
        # Everything but the colours may be.
        ("narrow", False, {"viewport": {"width": 360, "height": 740}}),
        ("hebrew", False, {"locale": "he"}),
    ],
)
def test_no_page_is_harder_to_use_than_a_stock_one(
    browser: Any,
    served: str,
    operator: User,
    judge: Judge,
    name: str,
    colours: bool | None,
    options: dict[str, Any],
) -> None:
    keys = {
        **keys_of_rows("Payments"),
        # As long as the names of events: what stands between links makes them part of a text.
        "group": Group.objects.create(name="updated access flow Payments of production").pk,
    }
    one = Opened(browser, served, operator, **options)
    page = one.page
    usual, widths = {}, {}
    for kind, path in STOCK.items():
        visit(page, path.format(**keys))
        usual[kind] = judge(page, colours)
        widths[kind] = width_of(page)
    found = {}
    wide = {}
    for title, (kind, path) in PAGES.items():
        visit(page, path.format(**keys))
        assert page.locator("html").get_attribute("dir") == ("rtl" if name == "hebrew" else "ltr")
        for details in page.locator("#content-main details").all():
            details.evaluate("one => one.open = true")
        picture(page, f"{name}-{title.replace(' ', '-')}")
        if width_of(page) > widths[kind]:
            wide[title] = width_of(page)
        own = {
            rule: where if rule not in usual[kind] else page.evaluate(OURS, where)
            for rule, where in judge(page, colours).items()
        }
        found |= {(title, rule): where for rule, where in own.items() if where}
    one.context.close()

    assert found == {}
    assert wide == {}


# --- what there is room for ---------------------------------------------------------------

# Words of tables that are partly outside of what scrolls them, and what boxes say while they are
# empty, where it is longer than the box.
CUT = """() => {
    const cut = [];
    for (const cell of document.querySelectorAll("#content :is(td, th)")) {
        if (!cell.checkVisibility() || cell.closest("[class$=actions], .visually-hidden"))
            continue;
        const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            if (!texts.currentNode.data.trim()) continue;
            const range = document.createRange();
            range.selectNodeContents(texts.currentNode);
            const {left, right} = range.getBoundingClientRect();
            for (let box = cell; box; box = box.parentElement) {
                const edges = box.getBoundingClientRect();
                const holds = box === cell || getComputedStyle(box).overflowX !== "visible";
                if (holds && right > left && (right > edges.right + 1 || left < edges.left - 1)) {
                    cut.push(texts.currentNode.data.trim());
                    break;
                }
            }
        }
    }
    const pen = document.createElement("canvas").getContext("2d");
    for (const box of document.querySelectorAll("#content :is(input, textarea)")) {
        const look = getComputedStyle(box);
        pen.font = look.font;
        const padding = parseFloat(look.paddingLeft) + parseFloat(look.paddingRight);
        const room = box.clientWidth - padding;
        if (box.checkVisibility() && pen.measureText(box.placeholder).width > room)
            cut.push(box.placeholder);
    }
    return cut;
}"""


@pytest.mark.parametrize("language", ["en", "de", "he"])
def test_nothing_is_cut_on_a_telephone(
    browser: Any, served: str, operator: User, language: str
) -> None:
    now = timezone.now()
    keys = keys_of_rows("Payments of the Northern-European subsidiaries")
    busy = make_webhook(name="Security chat of Operations", headers={"Authorization": "canary"})
    WebhookHealth.objects.create(
        webhook=busy, last_success_at=now - timedelta(days=6), consecutive_failures=0
    )
    for status in ("succeeded", "succeeded", "failed"):
        make_invocation(busy, status=status, outcome="success", started_at=now, finished_at=now)
    keys["busy"] = busy.pk
    pages = {**PAGES, "busy webhook": ("form", f"{APP}webhook/{{busy}}/change/")}
    one = Opened(
        browser, served, operator, locale=language, viewport={"width": 360, "height": 740}
    )
    found = {}
    for title, (_kind, path) in pages.items():
        visit(one.page, path.format(**keys))
        assert one.page.locator("html").get_attribute("lang") == language
        if cut := one.page.evaluate(CUT):
            found[title] = cut
    visit(one.page, f"{APP}webhook/")
    row = one.page.get_by_role("row").filter(has_text="Security chat of Operations")
    label = row.locator(".field-backlog [data-auditwebhooks-label]")
    told = label.evaluate("one => getComputedStyle(one, '::before').content")
    one.context.close()

    assert found == {}
    assert {"en": "Backlog", "de": "Rückstau", "he": "ממתינים"}[language] in told
    assert one.faults == []


def test_code_reads_from_left_to_right_in_hebrew(
    browser: Any, served: str, operator: User
) -> None:
    keys = keys_of_rows("Payments")
    one = Opened(browser, served, operator, locale="he")
    found = {}
    for title, (_kind, path) in PAGES.items():
        visit(one.page, path.format(**keys))
        turned = one.page.evaluate(
            """() => [...document.querySelectorAll("#content :is(pre, code, textarea)")]
                .filter(one => getComputedStyle(one).direction !== "ltr")
                .map(one => one.outerHTML.slice(0, 200))"""
        )
        if turned:
            found[title] = turned
    one.context.close()

    assert found == {}
