"""Calls per second beside plain requests: what deadline, address guard and limits cost.

    python -m benchmarks.transport [--calls 2000] [--rounds 7]

Both sides send the same body to the same HTTPS receiver from one process: ``requests.Session``,
kept open, one for each thread, and ``transport.client.Client``, one for all threads, as a webhook
has it. The rounds alternate and change who begins; the ratio is taken round by round.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from benchmarks.delivery import start_django
from benchmarks.receiver import receiver

BODY = b'{"event_type": "access.accessflow.updated", "data": {"target": "' + b"x" * 800 + b'"}}'
HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
TIMEOUT = 10.0

Side = Callable[[int, int], float]


def timed(send: Callable[[int], None], calls: int, threads: int) -> float:
    """Calls per second of so many threads."""
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(send, [calls // threads] * threads))
    return calls // threads * threads / (time.perf_counter() - started)


def plain(url: str, authorities: Path) -> Side:
    def run(calls: int, threads: int) -> float:
        sessions = [requests.Session() for _ in range(threads)]
        free = list(sessions)

        def send(count: int) -> None:
            session = free.pop()
            session.verify, session.trust_env = str(authorities), False
            for _ in range(count):
                response = session.post(url, data=BODY, headers=HEADERS, timeout=TIMEOUT)
                assert response.status_code == 200 and response.content

        rate = timed(send, calls, threads)
        for session in sessions:
            session.close()
        return rate

    return run


def ours(url: str) -> Side:
    from auditwebhooks.transport.client import Client
    from auditwebhooks.transport.messages import Request

    def run(calls: int, threads: int) -> float:
        request = Request(method="POST", url=url, headers=HEADERS, body=BODY, timeout=TIMEOUT)
        with Client(connections=threads) as client:

            def send(count: int) -> None:
                for _ in range(count):
                    response = client.send(request)
                    assert response.status == 200 and response.body, response.message

            return timed(send, calls, threads)

    return run


def compare(sides: list[Side], calls: int, threads: int, rounds: int) -> None:
    for side in sides:
        side(threads * 20, threads)
    rates: list[tuple[float, float]] = []
    for number in range(rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        measured = {index: sides[index](calls, threads) for index in order}
        rates.append((measured[0], measured[1]))
    limit, own = (statistics.median(side) for side in zip(*rates, strict=True))
    ratios = sorted(own / limit for limit, own in rates)
    print(
        f"{threads} thread{'s' if threads > 1 else ''}: requests.Session {limit:6.0f}/s   "
        f"auditwebhooks {own:6.0f}/s   ratio {statistics.median(ratios):.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=2000, help="of each side in a round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, receiver(Path(name)) as server:
        url = server.url
        start_django(Path(name), "sqlite", url, 8)
        sides = [plain(url, Path(name) / "ca.pem"), ours(url)]
        print(f"medians of {options.rounds} rounds of {options.calls} calls, {len(BODY)} bytes")
        for threads in (1, 8):
            compare(sides, options.calls, threads, options.rounds)


if __name__ == "__main__":
    main()
