"""Leases that Kea's DHCP servers keep in PostgreSQL or MySQL.

``access`` says where a database is, ``connection`` what it gives; ``leases`` makes rows of that. ``pgsql``
and ``mysql`` ask it: each needs a package of its own (docs/dependencies.md), and is imported only where it is
needed.
"""
