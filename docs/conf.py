"""The documentation as HTML: ``make docs``. Every warning is an error there."""

from auditwebhooks import __version__

project = "django-auditwebhooks"
author = "The django-auditwebhooks authors"
copyright = author  # noqa: A001 - Sphinx asks for this name
release = version = __version__

extensions = ["myst_parser"]
exclude_patterns: list[str] = []
nitpicky = True

# Links such as settings.md#models, here as well as where the repository shows the files.
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"{project} {release}"
