"""How many tests a person may make: each calls out and holds a process of the web server."""

from __future__ import annotations

import hashlib
import logging
import time
from typing import Any

from django.core.cache import cache
from django.utils.translation import gettext as _

MOST = 20
SECONDS = 60

logger = logging.getLogger(__name__)


def take_test(user: Any) -> int:
    """Count one test of the user; 0, or the seconds to wait where it may not be made now.

    Counted in the host's default cache, so over all processes that share it.
    """
    now = time.time()
    try:
        tests = _count(_key(user, now))
    except Exception as error:  # noqa: BLE001 - each cache has errors of its own
        logger.warning("Tests are not limited, the cache failed (%s).", type(error).__name__)
        return 0
    return 0 if tests <= MOST else int(SECONDS - now % SECONDS) + 1


def refusal(seconds: int) -> str:
    text = _("A person may make %(most)d tests a minute. Try again in %(seconds)d seconds.")
    return text % {"most": MOST, "seconds": seconds}


def _key(user: Any, now: float) -> str:
    """Of the user and the minute: nothing has to end a count that is over."""
    # The class of the user itself, where the request holds a lazy one.
    kind = user.__class__
    name = f"{kind.__module__}.{kind.__qualname__}:{user.pk}:{int(now // SECONDS)}"
    return f"auditwebhooks-tests-{hashlib.sha256(name.encode()).hexdigest()}"


def _count(key: str) -> int:
    cache.add(key, 0, 2 * SECONDS)
    try:
        # One step in the caches that processes share.
        return cache.incr(key)
    except ValueError:
        # A cache that keeps nothing.
        return 0
