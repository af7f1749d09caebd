"""The webhook form in a real browser, under a strict Content-Security-Policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from auditwebhooks.models import Event, Webhook
from auditwebhooks.receiver import Answer
from tests.browsing import Opened, picture
from tests.conftest import Inbox
from tests.factories import make_event, make_webhook
from tests.live import until

pytestmark = pytest.mark.django_db(transaction=True)

ADD = "/admin/auditwebhooks/webhook/add/"
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture
def operator() -> User:
    return User.objects.create_superuser("op", "op@example.com", "pw")


@pytest.fixture
def opened(browser: Any, served: str, operator: User) -> Iterator[Opened]:
    one = Opened(browser, served, operator)
    yield one
    one.context.close()
    assert one.faults == []


@pytest.fixture
def plain(browser: Any, served: str, operator: User) -> Iterator[Any]:
    """A page without JavaScript."""
    one = Opened(browser, served, operator, java_script_enabled=False)
    yield one.page
    one.context.close()


def body(page: Any) -> str:
    return str(page.locator("[data-auditwebhooks-body]").inner_text())


def until_body(page: Any, text: str) -> None:
    page.locator("[data-auditwebhooks-body]", has_text=text).wait_for()


def test_the_preview_follows_the_typing_and_leads_to_errors(opened: Opened) -> None:
    page = opened.page
    page.goto(ADD)
    assert '"actor_name": "Ada Lovelace"' in body(page)
    assert not page.get_by_role("button", name="Preview", exact=True).is_visible()

    area = page.get_by_label("Body Template")
    area.fill('{"who": "{{data.actor_id}}"}')
    until_body(page, '"who": "ada@example.com"')

    area.fill('{\n  "\U0001f600": "{{data.nobody}}"\n}')
    error = page.get_by_role("status")
    error.get_by_text("There is no variable").wait_for()
    assert "Line 2, column 11" in error.inner_text()
    # The last that could be made.
    assert '"who"' in body(page)
    page.get_by_role("button", name="Show the place").click()
    chosen = area.evaluate("one => one.value.slice(one.selectionStart, one.selectionEnd)")
    start = area.evaluate("one => one.value.slice(0, one.selectionStart)")
    assert (chosen, start) == ("d", '{\n  "\U0001f600": "{{')
    picture(page, "error")


def test_format_can_be_undone(opened: Opened) -> None:
    page = opened.page
    page.goto(ADD)
    area = page.get_by_label("Body Template")
    area.fill('{"a":"{{ event_id }}","b":[1.50]}')
    page.get_by_role("button", name="Format").click()

    # Not by ``wait_for_function``, which evaluates texts: the policy forbids that.
    until(lambda: "\n" in area.input_value())
    assert (
        area.input_value() == '{\n    "a": "{{ event_id }}",\n    "b": [\n        1.50\n    ]\n}'
    )
    area.press("Control+z")
    assert area.input_value() == '{"a":"{{ event_id }}","b":[1.50]}'

    area.fill('{"a":\n}')
    page.get_by_role("button", name="Format").click()
    page.get_by_role("status").get_by_text("Line 2, column 1").wait_for()
    until(lambda: area.evaluate("one => document.activeElement === one"))
    assert area.evaluate("one => one.selectionStart") == 6
    assert area.input_value() == '{"a":\n}'


def test_fields_are_put_at_the_cursor(opened: Opened) -> None:
    page = opened.page
    page.goto(ADD)
    area = page.get_by_label("Body Template")
    area.fill('{"a": "by ", "b": }')
    page.get_by_text("View audit event's payload schema").click()

    area.evaluate("one => one.setSelectionRange(10, 10)")
    page.get_by_role("button", name="{{data.actor_id}}").click()
    area.evaluate("one => one.setSelectionRange(one.value.length - 1, one.value.length - 1)")
    page.get_by_text("testapp.article (article)").click()
    page.get_by_label("Show and insert those of previous_target_object").check()
    page.get_by_role("button", name="{{data.previous_target_object.title}}").focus()
    page.keyboard.press("Enter")

    assert area.input_value() == (
        '{"a": "by {{data.actor_id}}", "b": "{{data.previous_target_object.title}}"}'
    )
    until_body(page, '"a": "by ada@example.com"')
    picture(page, "schema")

    page.get_by_text("Known event types").click()
    page.get_by_role("button", name="testapp.article.updated").click()
    page.get_by_role("button", name="auth.user.created").click()
    types = page.get_by_label("Event Types:", exact=True)
    assert types.input_value() == "testapp.article.updated\nauth.user.created"


def fill(page: Any, inbox: Inbox) -> None:
    page.get_by_label("Audit Webhook Name").fill("SIEM")
    page.get_by_label("URL:", exact=True).fill(inbox.url)
    page.get_by_label("Key").first.fill("Authorization")
    page.get_by_label("Value", exact=True).first.fill("Bearer typed")


def test_a_recorded_event_is_previewed_and_sent(opened: Opened, inbox: Inbox) -> None:
    event = make_event(target_name=HOSTILE)
    page = opened.page
    page.goto(ADD)
    fill(page, inbox)
    page.get_by_label("Body Template").fill(f'{{"id": "{{{{event_id}}}}", "x": "{HOSTILE}"}}')
    page.get_by_label("Event to preview").select_option(event.event_id)
    until_body(page, event.event_id)
    until_body(page, HOSTILE)

    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_text("Test successful").wait_for()
    page.get_by_label("Event to send").select_option(event.event_id)
    inbox.answers = [Answer(status=401, body=HOSTILE.encode())]
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_text("Test failed").wait_for()

    result = page.locator("#auditwebhooks-result").inner_text()
    assert "Sent with the recorded event:" in result
    assert "Check the Authorization header" in result
    assert HOSTILE in result
    assert event.event_id.encode() not in inbox.deliveries[0].body
    assert event.event_id.encode() in inbox.deliveries[1].body
    assert page.get_by_label("Value", exact=True).first.input_value() == "Bearer typed"
    assert page.locator("img").count() == 0
    picture(page, "test")


def test_who_was_logged_out_logs_in_and_goes_on(
    opened: Opened, served: str, operator: User, inbox: Inbox
) -> None:
    page = opened.page
    page.goto(ADD)
    fill(page, inbox)
    Session.objects.all().delete()
    page.get_by_role("button", name="Test", exact=True).click()
    result = page.locator("#auditwebhooks-result")
    result.get_by_text("You are not logged in any more").wait_for()
    page.get_by_label("Body Template").fill("{}")
    page.get_by_role("status").get_by_text("You are not logged in any more").wait_for()
    picture(page, "logged-out")
    assert inbox.deliveries == []

    with opened.context.expect_page() as opening:
        result.get_by_role("link", name="log in in another tab").click()
    tab = opening.value
    tab.get_by_label("Username").fill("op")
    tab.get_by_label("Password").fill("pw")
    tab.get_by_role("button", name="Log in").click()
    tab.get_by_label("Audit Webhook Name").wait_for()

    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_text("Test successful").wait_for()
    assert inbox.deliveries[0].headers["Authorization"] == "Bearer typed"
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("was added successfully").wait_for()
    assert Webhook.objects.get().name == "SIEM"


def test_only_the_template_is_red_where_the_template_is_wrong(opened: Opened) -> None:
    page = opened.page
    page.goto(ADD)
    page.get_by_label("Body Template").fill('{"a": "{{data.nobody}}"}')
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Please correct the errors below.").wait_for()

    def rim(label: str) -> str:
        colour = "one => getComputedStyle(one).borderTopColor"
        return str(page.get_by_label(label, exact=True).evaluate(colour))

    # Of a field without an error.
    usual = rim("Timeout in seconds:")
    assert rim("Body Template:") != usual
    choice = page.locator(".auditwebhooks-bar")
    for box in choice.locator("select, input").all():
        assert box.evaluate("one => getComputedStyle(one).borderTopColor") == usual


def test_an_error_is_told_once_before_and_after_the_text_is_mended(opened: Opened) -> None:
    page = opened.page
    page.goto(ADD)
    area = page.get_by_label("Body Template:", exact=True)
    area.fill('{"a": "{{data.nobody}}"}')
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Please correct the errors below.").wait_for()
    words = page.get_by_text("There is no variable")
    assert words.count() == 1
    assert area.get_attribute("aria-invalid") == "true"
    page.get_by_role("button", name="Show the place").click()
    chosen = "one => one.value.slice(one.selectionStart, one.selectionEnd)"
    assert area.evaluate(chosen) == "d"
    picture(page, "refused")

    area.fill('{"a": "{{data.anybody}}"}')
    page.get_by_role("status").get_by_text("data.anybody").wait_for()
    assert words.count() == 1
    area.fill('{"a": "{{data.action}}"}')
    until_body(page, '"a": "update"')
    assert words.count() == 0
    assert area.get_attribute("aria-invalid") == "false"
    assert page.locator(".field-body_template.errors").count() == 0


def test_a_long_event_leaves_no_gap_beside_the_choice(opened: Opened) -> None:
    make_event(target_name="Production database, reading and writing " * 4)
    page = opened.page
    page.goto(ADD)
    gaps = page.locator(".auditwebhooks-choice").evaluate_all(
        """labels => labels.map(one => one.getBoundingClientRect().right
            - one.lastElementChild.getBoundingClientRect().right)"""
    )

    assert len(gaps) == 4
    assert max(gaps) < 10


def test_too_many_tests_are_told(
    opened: Opened, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditwebhooks.delivery.allowance.MOST", 0)
    page = opened.page
    page.goto(ADD)
    fill(page, inbox)
    page.get_by_role("button", name="Test", exact=True).click()

    page.get_by_text(re.compile("0 tests a minute. Try again in")).wait_for()
    assert inbox.deliveries == []


def test_enter_in_a_field_saves_and_sends_nothing(opened: Opened, inbox: Inbox) -> None:
    page = opened.page
    page.goto(ADD)
    fill(page, inbox)
    page.get_by_label("Audit Webhook Name").press("Enter")

    page.get_by_text("was added successfully").wait_for()
    assert inbox.deliveries == []


def test_without_javascript_everything_is_a_button_away(plain: Any, inbox: Inbox) -> None:
    event = make_event()
    plain.goto(ADD)
    picture(plain, "plain")
    fill(plain, inbox)
    plain.get_by_label("Body Template").fill('{"id":"{{event_id}}"}')
    plain.get_by_label("Event to preview").select_option(event.event_id)
    plain.get_by_role("button", name="Preview").click()
    assert event.event_id in body(plain)
    plain.get_by_role("button", name="Format").click()
    assert plain.get_by_label("Body Template").input_value() == '{\n    "id": "{{event_id}}"\n}'
    plain.get_by_label("Value", exact=True).first.fill("Bearer typed")
    plain.get_by_label("Event to send").select_option(event.event_id)
    plain.get_by_role("button", name="Test", exact=True).click()

    assert "Test successful" in plain.locator("#auditwebhooks-result").inner_text()
    picture(plain, "plain-test")
    assert event.event_id.encode() in inbox.deliveries[0].body
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("light", {"viewport": {"width": 1280, "height": 900}}),
        ("dark", {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"}),
        ("narrow", {"viewport": {"width": 360, "height": 740}}),
        ("wide", {"viewport": {"width": 1920, "height": 1000}}),
    ],
)
def test_it_fits_every_screen(
    browser: Any, served: str, operator: User, name: str, options: dict[str, Any]
) -> None:
    for number in range(3):
        make_event(target_name=f"Production database, reading and writing {number}")
    webhook = make_webhook(event_types=[])
    one = Opened(browser, served, operator, **options)
    one.page.goto(f"/admin/auditwebhooks/webhook/{webhook.pk}/change/")
    one.page.get_by_text("View audit event's payload schema").click()
    one.page.get_by_role("button", name="Test", exact=True).click()
    one.page.get_by_text("Test failed").wait_for()
    picture(one.page, name)

    width = one.page.evaluate("document.documentElement.scrollWidth")
    assert width <= options["viewport"]["width"]
    assert one.faults == []
    one.context.close()
    assert Event.objects.exists()


def test_expected_values_are_entered_one_after_another(opened: Opened, inbox: Inbox) -> None:
    page = opened.page
    page.goto(ADD)
    fill(page, inbox)
    page.get_by_label("JSON Path").fill("$.data.status")
    values = page.get_by_label("Expected Values")
    for text in ("ok", "created", "wrong", HOSTILE):
        values.fill(text)
        values.press("Enter")
    page.get_by_role("button", name="Remove wrong").click()
    page.get_by_role("button", name="Add", exact=False).and_(
        page.locator("[data-auditwebhooks-add]")
    ).nth(1).click()
    page.get_by_label("JSON Path").nth(1).fill("$.data.code")
    page.get_by_label("Expected Values").nth(1).fill("200")
    chips = page.locator(".auditwebhooks-chip")
    assert [one.split("\u00d7")[0].strip() for one in chips.all_inner_texts()] == [
        "ok",
        "created",
        HOSTILE,
    ]
    picture(page, "chips")
    # What was typed last counts without Enter.
    page.get_by_role("button", name="Save and continue editing").click()
    page.get_by_text("was added successfully").wait_for()

    assert Webhook.objects.get().response_validators == [
        {"json_path": "$.data.status", "expected_values": ["ok", "created", HOSTILE]},
        {"json_path": "$.data.code", "expected_values": ["200"]},
    ]
    assert page.locator(".auditwebhooks-chip").count() == 4
    before = Event.objects.count()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("was changed successfully").wait_for()
    assert Event.objects.count() == before


@pytest.mark.parametrize("height", [720, 3000])
def test_a_typed_value_counts_for_a_test_without_enter(
    opened: Opened, inbox: Inbox, height: int
) -> None:
    inbox.answer = lambda _delivery: Answer(body=b'{"status": "ok"}')
    page = opened.page
    # On the higher one nothing is scrolled, and what appears above the button moves it.
    page.set_viewport_size({"width": 1280, "height": height})
    page.goto(ADD)
    fill(page, inbox)
    page.get_by_label("JSON Path").fill("$.data.status")
    page.get_by_label("Expected Values").press_sequentially("ok")
    button = page.get_by_role("button", name="Test", exact=True)
    button.scroll_into_view_if_needed()
    place = button.bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.down()
    page.mouse.up()

    page.get_by_text("Test successful").wait_for()
    assert "$.data.status" in page.locator("#auditwebhooks-result").text_content()
    # Once, however it comes to be there.
    page.get_by_label("Expected Values").press("Enter")
    page.get_by_label("Expected Values").fill("ok")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("was added successfully").wait_for()
    assert Webhook.objects.get().response_validators == [
        {"json_path": "$.data.status", "expected_values": ["ok"]}
    ]
