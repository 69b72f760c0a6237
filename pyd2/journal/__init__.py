"""The durable queue: requests that were taken are on disk until they are done (contract, section 12, row 5).

``store`` is the file, ``lock`` keeps a second daemon off it, ``writer`` is the thread that writes it, and
``journal`` is what the daemon's loop sees of all that.
"""
