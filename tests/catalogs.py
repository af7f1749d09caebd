"""The catalogs of translations. ``python -m tests.catalogs`` writes them anew from the sources;
what is new stands there untranslated then, and tests/test_locale.py names it."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

LANGUAGES = ("de", "he")

ROOT = Path(__file__).parent.parent
LOCALE = Path("auditwebhooks") / "locale"

# Texts of these are no part of the app.
_ELSEWHERE = (".venv*", "benchmarks", "docs", "project", "tests")


@dataclass(slots=True, kw_only=True)
class Entry:
    context: str = ""
    msgid: str = ""
    plural: str = ""
    # By number of the plural form.
    texts: dict[int, str] = field(default_factory=dict)
    fuzzy: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        return self.context, self.msgid, self.plural


def catalog(language: str, root: Path = ROOT) -> Path:
    return root / LOCALE / language / "LC_MESSAGES" / "django.po"


def entries(path: Path) -> list[Entry]:
    """All but the head. What is obsolete is no entry."""
    found = [_entry(block) for block in path.read_text("utf-8").split("\n\n")]
    return [entry for entry in found if entry.msgid]


def _entry(block: str) -> Entry:
    entry = Entry()
    told: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        if line.startswith("#"):
            entry.fuzzy |= line.startswith("#,") and "fuzzy" in line
            continue
        word, _space, quoted = line.partition('"')
        name = word.strip() or name
        told[name] = told.get(name, "") + ast.literal_eval(f'"{quoted}')
    entry.context = told.get("msgctxt", "")
    entry.msgid = told.get("msgid", "")
    entry.plural = told.get("msgid_plural", "")
    for key, text in told.items():
        if key.startswith("msgstr"):
            entry.texts[int(key[7:-1] or 0)] = text
    return entry


def extract(root: Path) -> None:
    """Django's own command; takes gettext's xgettext."""
    languages = [part for language in LANGUAGES for part in ("-l", language)]
    ignored = [part for pattern in _ELSEWHERE for part in ("-i", pattern)]
    subprocess.run(
        [
            sys.executable,
            *("-m", "django", "makemessages", "-v0"),
            *("--no-location", "--no-wrap", "--no-obsolete"),
            *languages,
            *ignored,
        ],
        cwd=root,
        check=True,
    )
    for language in LANGUAGES:
        path = catalog(language, root)
        lines = path.read_text("utf-8").splitlines(keepends=True)
        # Else every run would change the file.
        kept = (line for line in lines if not line.startswith('"POT-Creation-Date'))
        path.write_text("".join(kept), "utf-8")


def write() -> None:
    extract(ROOT)
    for language in LANGUAGES:
        path = catalog(language)
        compiled = str(path.with_suffix(".mo"))
        subprocess.run(["msgfmt", "--check-format", "-o", compiled, str(path)], check=True)


if __name__ == "__main__":
    write()
