"""The durable queue: requests that were taken are on disk until they are done (contract, section 12, row 5).

``states`` has the table of all states: read that first. ``store`` is the file: of ``rows``, whose
``contents`` it knows, and ``letters``, in a ``database``, with a ``mark`` beside it. ``folder`` puts a file
in the place of another, ``opening`` finds out what lies there, for which ``wal`` looks for lost commits, and
``salvage`` reads what is left of a damaged file. ``lock`` keeps a second daemon off, and ``writer`` is the
thread that does all that; what lies ``elsewhere`` is looked at by others. ``journal`` is what the daemon's
loop sees of it: the requests that are ``pending``, of which those that were read ``late`` may go on or not,
their ``release`` to the engine, their ``limit``, and the ``lifecycle`` with its state and the watch for a
``stall``.
"""
