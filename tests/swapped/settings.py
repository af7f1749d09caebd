"""The settings of the suite with another user model."""

from tests.settings import *  # noqa: F403
from tests.settings import AUDITWEBHOOKS as _AUDITWEBHOOKS
from tests.settings import INSTALLED_APPS as _INSTALLED_APPS

INSTALLED_APPS = [*_INSTALLED_APPS, "tests.swapped"]
AUTH_USER_MODEL = "swapped.Person"
AUDITWEBHOOKS = {
    "MODELS": {
        **{
            name: options
            for name, options in _AUDITWEBHOOKS["MODELS"].items()
            if name != "auth.User"
        },
        "swapped.Person": {"exclude": ["last_login"]},
    }
}
