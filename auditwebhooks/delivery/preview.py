"""What a body template makes of an event, without sending it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from auditwebhooks.delivery.samples import payload_text
from auditwebhooks.exceptions import TemplateRenderError, TemplateSyntaxError
from auditwebhooks.models import Event
from auditwebhooks.payload import VARIABLES
from auditwebhooks.storable import storable
from auditwebhooks.templating.layout import laid_out
from auditwebhooks.templating.template import compile_template

# Characters of a body that are shown; longer ones would only slow the page down.
MOST = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    # Set out for reading, where it is not too long for that.
    body: str = ""
    # As it would be sent, in bytes.
    size: int = 0
    is_cut: bool = False
    # What is wrong, and at which line and column of the template where that can be told.
    error: str = ""
    line: int | None = None
    column: int | None = None


def preview(template: str, event: Event | None = None) -> Preview:
    """The body for the event, or for the mock one. Nothing is raised."""
    try:
        # Past the cache: it is for templates that are sent, and each letter makes a new one.
        compiled = compile_template.__wrapped__(template, VARIABLES)
        sent = compiled.render(json.loads(payload_text(event)))
    except TemplateSyntaxError as error:
        return Preview(error=str(error), line=error.line, column=error.column)
    except TemplateRenderError as error:
        return Preview(error=str(error))
    is_cut = len(sent) > MOST
    return Preview(
        body=storable(sent[:MOST] if is_cut else laid_out(sent)),
        size=len(sent.encode("utf-8", "replace")),
        is_cut=is_cut,
    )
