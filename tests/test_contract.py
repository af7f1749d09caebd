"""The committed OpenAPI schema against a server that runs: schemathesis looks for answers that it
does not tell of, and a client that is generated from it does a webhook's round.

The tools are in the dependency group ``contract``, which wants versions of its own: CONTRACT_TOOLS
is the folder of their commands. Without it these tests are skipped by name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

import auditwebhooks
from auditwebhooks.models import Webhook
from auditwebhooks.receiver import Answer
from tests.conftest import Inbox
from tests.factories import make_event, make_invocation, make_webhook

ROOT = Path(__file__).parent.parent
STORED = ROOT / "tests" / "schema.yml"
TOOLS = os.environ.get("CONTRACT_TOOLS", "")

SEED, EXAMPLES = 1, 12


def tool(name: str) -> str:
    found = shutil.which(name, path=TOOLS) if TOOLS else None
    if found is None:
        pytest.skip(f"{name} is missing: CONTRACT_TOOLS names no folder that has it")
    return found


@pytest.fixture
def root(transactional_db: None) -> User:
    with auditwebhooks.paused():
        return User.objects.create_superuser("root", password="pw")


@pytest.fixture
def rows(root: User, inbox: Inbox) -> dict[str, Any]:
    """Something to find, by what the paths call it."""
    webhook = make_webhook(url=inbox.url, headers={"Authorization": "Bearer canary"})
    event = make_event()
    invocation = make_invocation(webhook, event=event, status="failed", outcome="timeout")
    replay = webhook.replays.create(
        webhook_name=webhook.name, since=event.created_at, until=event.created_at
    )
    return {
        "webhook": webhook.pk,
        "invocation": invocation.pk,
        "event": event.event_id,
        "replay": replay.pk,
    }


CONFIG = """
[parameters]
"path.event_id" = "{event}"
"path.replay_id" = {replay}

[[operations]]
include-path-regex = "^/webhooks/[{{]id"
parameters = {{ "path.id" = "{webhook}" }}

[[operations]]
include-path-regex = "^/invocations/[{{]id"
parameters = {{ "path.id" = {invocation} }}

[checks.negative_data_rejection]
# A precondition is asked before the body is read.
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422]
"""

# What fits the schema may still break a rule that no schema has: placeholders, secrets, times.
CHECKS = "--exclude-checks=positive_data_acceptance"


def look(folder: Path, url: str, rows: dict[str, Any], *options: str) -> None:
    (folder / "schemathesis.toml").write_text(CONFIG.format(**rows))
    done = subprocess.run(
        [
            tool("schemathesis"),
            "--config-file=schemathesis.toml",
            *("run", str(STORED), f"--url={url}/api/audit", f"--seed={SEED}"),
            *("--generation-database=none", "--no-shrink", "--continue-on-failure"),
            *("--no-color", "--request-timeout=30", "--warnings=off"),
            *options,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]


def test_nothing_is_answered_that_is_not_told(
    live_server: Any, rows: dict[str, Any], tmp_path: Path
) -> None:
    look(tmp_path, live_server.url, rows, "--auth=root:pw", CHECKS, f"--max-examples={EXAMPLES}")


def test_nobody_gets_nothing_else(live_server: Any, rows: dict[str, Any], tmp_path: Path) -> None:
    """Without a login, where every operation has one answer."""
    look(tmp_path, live_server.url, rows, CHECKS, "--phases=fuzzing", "--max-examples=2")


# What a user of the generated client writes; its types are checked with the client's own.
ROUND = """
import sys

from client import AuthenticatedClient
from client.api.audit_webhooks import (
    audit_invocations_list,
    audit_webhooks_change,
    audit_webhooks_create,
    audit_webhooks_delete,
    audit_webhooks_list,
    audit_webhooks_read,
    audit_webhooks_replace,
    audit_webhooks_test,
)
from client.models import (
    AuditHeaders,
    AuditInvocationsListTrigger,
    AuditMethod,
    AuditRefusedFields,
    AuditStatus,
    AuditTestResult,
    AuditValidatorsItem,
    AuditWebhook,
    AuditWebhookValues,
    PaginatedAuditInvocationList,
    PaginatedAuditWebhookList,
    PatchedAuditWebhookValues,
)

url, receiver = sys.argv[1:]
api = AuthenticatedClient(base_url=url, token="cm9vdDpwdw==", prefix="Basic")

refused = audit_webhooks_create.sync(
    client=api, body=AuditWebhookValues(name="SIEM", url="http://hooks.example.com/")
)
assert isinstance(refused, AuditRefusedFields), refused
assert list(refused.to_dict()) == ["url"], refused

made = audit_webhooks_create.sync(
    client=api,
    body=AuditWebhookValues(
        name="SIEM",
        url=receiver,
        method=AuditMethod.PUT,
        headers=AuditHeaders.from_dict({"Authorization": "Bearer canary"}),
        response_validators=[
            AuditValidatorsItem(json_path="$.data.ok", expected_values=["true"])
        ],
    ),
)
assert isinstance(made, AuditWebhook), made
assert isinstance(made.headers, AuditHeaders)
assert made.headers.to_dict() == {"Authorization": "***"}
assert made.last_success_at is None

tested = audit_webhooks_test.sync(made.id, client=api, idempotency_key="once")
assert isinstance(tested, AuditTestResult), tested
assert tested.result == "Test successful", tested
assert tested.invocation.status is AuditStatus.SUCCEEDED
assert tested.invocation.validation_results[0].passed is True

attempts = audit_invocations_list.sync(client=api, trigger=AuditInvocationsListTrigger.TEST)
assert isinstance(attempts, PaginatedAuditInvocationList), attempts
assert [one.webhook for one in attempts.results] == [made.id]
assert attempts.next_ is None

read = audit_webhooks_read.sync_detailed(made.id, client=api)
assert isinstance(read.parsed, AuditWebhook)
put = audit_webhooks_replace.sync(
    made.id,
    client=api,
    body=AuditWebhookValues.from_dict(read.parsed.to_dict()),
    if_match=read.headers["ETag"],
)
assert put == read.parsed, put

off = audit_webhooks_change.sync(
    made.id, client=api, body=PatchedAuditWebhookValues(active=False)
)
assert isinstance(off, AuditWebhook)
assert off.active is False
old = audit_webhooks_delete.sync_detailed(made.id, client=api, if_match=read.headers["ETag"])
assert old.status_code == 412
assert audit_webhooks_delete.sync_detailed(made.id, client=api).status_code == 204
left = audit_webhooks_list.sync(client=api, name="SIEM")
assert isinstance(left, PaginatedAuditWebhookList)
assert left.results == []
print("done")
"""

TYPES = """
[mypy]
strict = True
# The generator's own, the same for every API: it gives the client's __exit__ to httpx as it came.
[mypy-client.client]
ignore_errors = True
"""


def run(folder: Path, *command: str) -> str:
    path = os.pathsep.join([TOOLS, os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        # Its last step is ruff.
        env={**os.environ, "PATH": path, "MYPYPATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_client_is_generated_and_does_a_round(
    live_server: Any, root: User, inbox: Inbox, tmp_path: Path
) -> None:
    generate, mypy = tool("openapi-python-client"), tool("mypy")
    inbox.answer = lambda delivery: Answer(body=b'{"ok": true}')
    run(
        tmp_path,
        *(generate, "generate", f"--path={STORED}", "--meta=none", "--output-path=client"),
        "--fail-on-warning",
    )
    (tmp_path / "round.py").write_text(ROUND)
    (tmp_path / "types.ini").write_text(TYPES)
    run(tmp_path, mypy, "--config-file=types.ini", "client", "round.py")
    python = str(Path(generate).parent / "python")

    assert run(tmp_path, python, "round.py", f"{live_server.url}/api/audit", inbox.url) == "done\n"
    [delivery] = inbox.deliveries
    assert (delivery.method, delivery.headers["Authorization"]) == ("PUT", "Bearer canary")
    assert not Webhook.objects.exists()
