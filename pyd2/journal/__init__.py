"""The durable queue: requests that were taken are on disk until they are done (contract, section 12, row 5).

``store`` is the file: of ``rows``, whose ``contents`` it knows, and ``letters``, in a ``database``.
``salvage`` reads what is left of a damaged one, ``lock`` keeps a second daemon off it, and ``writer`` is
the thread that writes it. ``journal`` is what the daemon's loop sees of all that: the requests that are
``pending``, their ``release`` to the engine, and the ``former`` writers of directories before.
"""
