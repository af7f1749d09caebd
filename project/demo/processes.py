"""The demo's child processes: started one after the other, watched, and ended together."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from project.demo.errors import DemoError
from project.demo.stopping import Stopping

ROOT = Path(__file__).resolve().parents[2]

# How often a condition is looked at, in seconds.
_LOOK_EVERY = 0.05
# How long a process that was asked to end may take, in seconds.
_LAST_PATIENCE = 10
_LOG_LINES = 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    # What a person calls it: "The <name> ...".
    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def end(self) -> None:
        """Ask it to end, and kill what is left of its process group after a while."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_LAST_PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def failure(self, sentence: str) -> DemoError:
        """The sentence, and what the process said last."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        said = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return DemoError(f"{sentence}\nThe {self.name} said last:\n{said}")


class Processes:
    """A context manager: when it is left, no child runs any more."""

    def __init__(self, log_folder: Path, stopping: Stopping, patience: float) -> None:
        """``patience``: how many seconds one thing is waited for."""
        self._log_folder = log_folder
        self._stopping = stopping
        self._patience = patience
        self._children: list[Child] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Who was started last needs the others.
        for child in reversed(self._children):
            child.end()

    def start(self, name: str, *arguments: str) -> Child:
        """Run Python with the arguments; what it says goes to a log of its own."""
        log = self._log_folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-u", *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal reaches the demo only, which ends the others in order.
                process_group=0,
            )
        child = Child(name=name, process=process, log=log)
        self._children.append(child)
        return child

    def wait_for(self, condition: Callable[[], T | None], child: Child, otherwise: str) -> T:
        """Look at the condition until it is true, and give what it gave.

        Raises DemoError with the sentence ``otherwise`` and the child's last words when that
        takes too long, and whatever ``watch`` raises.
        """
        until = time.monotonic() + self._patience
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > until:
                raise child.failure(otherwise)
            self.watch()

    def watch(self) -> None:
        """One look: raises StoppedError when the demo was asked to end, and DemoError when a
        child has ended by itself."""
        self._stopping.check()
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                raise child.failure(f"The {child.name} has ended by itself (exit code {code}).")
        time.sleep(_LOOK_EVERY)
