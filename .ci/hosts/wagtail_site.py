"""A site as `wagtail start` makes it: pages, images and users are changed in Wagtail's own admin,
which does not use Django's."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

from host import Host, Inbox, Visitor

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)

EDITOR = """
from django.contrib.auth.models import User
User.objects.create_superuser("ada", "ada@example.com", "correct horse")
"""


def change(visitor: Visitor, inbox: Inbox) -> None:
    by_ada = {"actor_id": "ada@example.com", "actor_type": "user", "source": "web application"}
    visitor.submit("/admin/login/", {"username": "ada", "password": "correct horse"})
    inbox.expect("auth.user.logged_in", actor_id="ada@example.com")

    edit = "form#page-edit-form, form[data-edit-form]"
    publish = {"action-publish": "action-publish"}
    home = "/admin/pages/3/edit/"
    visitor.submit(home, {"title": "Welcome all", **publish}, edit, stays=True)
    inbox.expect("home.homepage.updated", "title", target_id="3", **by_ada)
    inbox.expect("wagtailcore.revision.created", **by_ada)

    visitor.submit(
        "/admin/pages/add/home/homepage/3/",
        {"title": "News", "slug": "news", **publish},
        edit,
        stays=True,
    )
    news = inbox.expect("home.homepage.created", target_name="News", **by_ada)
    page = news["target_id"]
    assert news["current_target_object"]["slug"] == "news"
    visitor.submit(f"/admin/pages/{page}/unpublish/", {})
    visitor.submit(f"/admin/pages/{page}/delete/", {})
    gone = inbox.expect("home.homepage.deleted", target_id=page, **by_ada)
    assert gone["previous_target_object"]["live"] is False

    visitor.submit(
        "/admin/images/add/",
        {"title": "Pixel"},
        "form[enctype]",
        files={"file": ("pixel.png", PIXEL, "image/png")},
    )
    inbox.expect("wagtailimages.image.created", target_name="Pixel", **by_ada)
    visitor.submit(
        "/admin/users/new/",
        {
            "username": "grace",
            "email": "grace@example.com",
            "first_name": "Grace",
            "last_name": "Hopper",
            "password1": "correct battery",
            "password2": "correct battery",
        },
        "form[action$='users/new/']",
    )
    made = inbox.expect("auth.user.created", target_name="grace", **by_ada)
    assert made["current_target_object"]["password"] == "***"


def main(folder: Path) -> None:
    subprocess.run(
        [Path(sys.executable).parent / "wagtail", "start", "website", "."],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    host = Host("wagtail", folder, folder / "website/settings/dev.py", ["manage.py"])
    host.manage("migrate", "--verbosity", "0")
    host.shell(EDITOR)
    host.try_out(change)


main(Path(sys.argv[1]))
