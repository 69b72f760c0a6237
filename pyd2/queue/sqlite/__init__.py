"""The durable queue's store in SQLite.

``store`` is the file: requests and ``dead_letters``, in a ``database``. ``folder`` puts a file in the place
of another, ``opening`` finds out what lies there, for which ``wal`` looks for lost commits, and ``salvage``
reads what is left of a damaged file. ``lock`` keeps a second daemon off, and ``writer`` is the queue thread,
which does all that. ``stores`` is what the queue above gets, and ``offline`` what tools get.
"""

from typing import Final

FOLDER: Final = "pyd2-queue"
"""The folder in the queue's directory that holds the database and its WAL: they move together."""

DATABASE: Final = f"{FOLDER}/queue.sqlite3"
"""The database's path in the queue's directory."""

UNKNOWN: Final = "an unknown number of"
"""For what cannot be counted, in messages."""
