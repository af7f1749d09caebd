from __future__ import annotations


class DemoError(Exception):
    """The demo cannot go on. The text is for the person who started it and says what to do."""


class StoppedError(Exception):
    """Somebody asked the demo to end (Ctrl-C, SIGTERM)."""
