"""The URL of a webhook, taken apart and judged as text. Where it leads is judged by ``guard``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from requests.exceptions import RequestException
from requests.models import PreparedRequest
from urllib3.util import parse_url

from auditwebhooks.conf import conf
from auditwebhooks.exceptions import InvalidURLError
from auditwebhooks.masking import MASK

MAX_LENGTH = 2048

_DEFAULT_PORTS = {"https": 443, "http": 80}

# Labels of a host name as it is sent (underscores occur), or an IP address without a zone.
_HOST = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?|[0-9a-f:.]*:[0-9a-f:.]*"
)

# White space, control characters and the backslash, which parsers read differently.
_FORBIDDEN = re.compile(r"[\s\\\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A URL that may be called, in the form in which it is sent (IDNA host, quoted path)."""

    url: str = field(repr=False)
    scheme: str
    host: str
    port: int

    @property
    def origin(self) -> str:
        """What stored secrets are bound to: ``scheme://host:port``."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def masked(self) -> str:
        """For people who may not see the URL: path and query can be secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}/{MASK}"


def parse_address(url: str) -> Address:
    """Read a webhook's URL. Raises InvalidURLError with a sentence for the field."""
    if not url:
        raise InvalidURLError(_("Enter the URL of the system that receives the webhook."))
    if len(url) > MAX_LENGTH:
        raise InvalidURLError(_("A URL has at most %d characters.") % MAX_LENGTH)
    if _FORBIDDEN.search(url):
        raise InvalidURLError(_("Take out the spaces, control characters and backslashes."))
    parts = _split(url)
    if parts.scheme not in conf.allowed_schemes:
        schemes = [f"{scheme}://" for scheme in conf.allowed_schemes]
        told = ngettext(
            "The URL must start with %s.", "The URL must start with one of %s.", len(schemes)
        )
        raise InvalidURLError(told % ", ".join(schemes))
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise InvalidURLError(
            _("Take user and password out of the URL; use the header Authorization.")
        )
    if parts.fragment or "#" in url:
        raise InvalidURLError(_("Take out the fragment (#...): it is never sent."))
    port = _port(parts)
    return _prepared(url, parts, port)


@lru_cache(maxsize=256)
def mask_url(url: str) -> str:
    """``https://host/***`` for lists, logs and events; ``***`` for what is no URL."""
    try:
        parts = urlsplit(url)
        port = (
            f":{parts.port}" if parts.port not in (None, _DEFAULT_PORTS.get(parts.scheme)) else ""
        )
    except ValueError:
        return MASK
    if not parts.hostname:
        return MASK
    if re.search(r"[\s\\%\x00-\x1f]", parts.hostname):
        return MASK
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}/{MASK}"


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise InvalidURLError(_("This is not a URL.")) from None


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        raise InvalidURLError(_("The port of the URL is not a number from 1 to 65535.")) from None
    if port is None and parts.netloc.endswith(":"):
        raise InvalidURLError(_("Take the colon after the host out."))
    if port is None:
        port = _DEFAULT_PORTS[parts.scheme]
    if port not in conf.allowed_ports:
        told = ngettext(
            "Take the port %(port)d out: only %(allowed)s is allowed "
            "(AUDITWEBHOOKS['ALLOWED_PORTS']).",
            "Take the port %(port)d out: only %(allowed)s are allowed "
            "(AUDITWEBHOOKS['ALLOWED_PORTS']).",
            len(conf.allowed_ports),
        )
        allowed = ", ".join(map(str, conf.allowed_ports))
        raise InvalidURLError(told % {"port": port, "allowed": allowed})
    return port


@lru_cache(maxsize=256)
def _prepared(url: str, parts: SplitResult, port: int) -> Address:
    """The URL as requests sends it; both parsers must find the same host in it."""
    if not parts.hostname:
        raise InvalidURLError(_("The URL names no host."))
    request = PreparedRequest()
    try:
        request.prepare_url(url, None)
        host = _host(request)
        # The host as urlsplit found it, spelled the way requests spells it.
        bracketed = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        other = PreparedRequest()
        other.prepare_url(f"https://{bracketed}/", None)
    except (RequestException, ValueError) as error:
        # The library's own words would repeat the URL, which may be a secret.
        raise InvalidURLError(
            _("This URL cannot be called (%s): check its host name.") % type(error).__name__
        ) from None
    if not _HOST.fullmatch(host):
        raise InvalidURLError(_("This is no host name; check it for typing errors."))
    if host != _host(other):
        raise InvalidURLError(_("The host of this URL can be read in two ways."))
    return Address(url=str(request.url), scheme=parts.scheme, host=host, port=port)


def _host(request: PreparedRequest) -> str:
    return (parse_url(str(request.url)).host or "").strip("[]").lower()
