"""Nothing is recorded."""

from benchmarks.peers.settings import *  # noqa: F403

# What the side writes for a change: its model, and the field and values that tell the operation.
RECORDS = None
