"""A shop of django-oscar with the settings that its documentation gives: a customer registers,
fills a basket and orders; staff adds a product in oscar's dashboard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from host import Host, Inbox, Visitor

SETTINGS = """
from oscar import INSTALLED_APPS as OSCAR_APPS
from oscar.defaults import *

INSTALLED_APPS = [*OSCAR_APPS, "sorl.thumbnail"]
SITE_ID = 1
MIDDLEWARE += [
    "oscar.apps.basket.middleware.BasketMiddleware",
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
]
TEMPLATES[0]["OPTIONS"]["context_processors"] += [
    "oscar.apps.search.context_processors.search_form",
    "oscar.apps.checkout.context_processors.checkout",
    "oscar.apps.communication.notifications.context_processors.notifications",
    "oscar.core.context_processors.metadata",
]
AUTHENTICATION_BACKENDS = [
    "oscar.apps.customer.auth_backends.EmailBackend",
    "django.contrib.auth.backends.ModelBackend",
]
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
OSCAR_REQUIRED_ADDRESS_FIELDS = ("first_name", "last_name", "line1", "line4", "country")
if "MAILERS" not in globals():
    # As the template of Django 6.1 has it: no mail server is there to take oscar's welcome.
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
"""

URLS = """
from django.apps import apps
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    path("", include(apps.get_app_config("oscar").urls[0])),
]
"""

SHOP = """
from django.contrib.auth.models import User
from oscar.core.loading import get_model
User.objects.create_superuser("ada", "ada@example.com", "correct horse")
country = get_model("address", "Country").objects.create(
    iso_3166_1_a2="GB", printable_name="United Kingdom", is_shipping_country=True
)
Product = get_model("catalogue", "Product")
books = get_model("catalogue", "ProductClass").objects.create(name="Book", track_stock=True)
category = get_model("catalogue", "Category").add_root(name="All")
product = Product.objects.create(title="Sketches", slug="sketches", product_class=books)
product.categories.add(category)
partner = get_model("partner", "Partner").objects.create(name="Press")
get_model("partner", "StockRecord").objects.create(
    partner=partner, product=product, partner_sku="S1", price="9.99", num_in_stock=5
)
"""


def change(visitor: Visitor, inbox: Inbox) -> None:
    ordering(visitor, inbox)
    stocking(Visitor(visitor.base), inbox)


def ordering(customer: Visitor, inbox: Inbox) -> None:
    by_grace = {"actor_id": "grace@example.com", "source": "web application"}
    customer.submit(
        "/accounts/register/",
        {
            "email": "grace@example.com",
            "password1": "correct battery",
            "password2": "correct battery",
        },
        "form#register_form",
    )
    made = inbox.expect("auth.user.created", actor_type="anonymous", source="web application")
    assert made["current_target_object"]["email"] == "grace@example.com"
    assert made["current_target_object"]["password"] == "***"

    customer.submit("/catalogue/sketches_1/", {"quantity": "2"}, "form#add_to_basket_form")
    inbox.expect("basket.line.created", **by_grace)
    customer.submit(
        "/checkout/shipping-address/",
        {"first_name": "Grace", "last_name": "Hopper", "line1": "1 Navy St", "line4": "Arlington"},
        "form#new_shipping_address",
    )
    customer.submit("/checkout/preview/", {}, "form#place_order_form")
    order = inbox.expect("order.order.created", **by_grace)
    assert order["current_target_object"]["total_incl_tax"] == "19.98"
    inbox.expect("order.line.created", **by_grace)
    stock = inbox.expect("partner.stockrecord.updated", "num_allocated", **by_grace)
    assert stock["previous_target_object"]["num_allocated"] in (None, 0)
    assert stock["current_target_object"]["num_allocated"] == 2


def stocking(staff: Visitor, inbox: Inbox) -> None:
    by_ada = {"actor_id": "ada@example.com", "source": "web application"}
    staff.submit(
        "/accounts/login/",
        {
            "login-username": "ada@example.com",
            "login-password": "correct horse",
            "login_submit": "1",
        },
        "form#login_form",
    )
    inbox.expect("auth.user.logged_in", actor_id="ada@example.com")
    staff.submit("/dashboard/partners/create/", {"name": "Second press"}, "form:has([name=name])")
    inbox.expect("partner.partner.created", target_name="Second press", **by_ada)
    staff.submit("/dashboard/catalogue/categories/2/delete/", {}, "form#delete_category_form")
    inbox.expect("catalogue.category.deleted", target_name="Old", **by_ada)


def main(folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "django", "startproject", "shop", "."], cwd=folder, check=True
    )
    with (folder / "shop/settings.py").open("a") as settings:
        settings.write(SETTINGS)
    (folder / "shop/urls.py").write_text(URLS)
    host = Host("django-oscar", folder, folder / "shop/settings.py", ["manage.py"])
    host.manage("migrate", "--verbosity", "0")
    host.shell(f'{SHOP}\nget_model("catalogue", "Category").add_root(name="Old")')
    host.try_out(change)


main(Path(sys.argv[1]))
