"""A daemon whose queue is shared with other machines: receiver and, one of them at a time, owner.

Loaded only if a configuration asks for it. ``receiver`` appends what comes in to the shared queue; ``owner``
claims that queue and keeps its record, ``term`` is its work from a claim on, and ``early`` has that begin
sooner. ``fence`` lets nothing out when the lease is over. ``numbering`` makes sure that batches are known
again, ``link`` keeps a connection, and ``member`` puts these together. All of it runs in the update thread:
an owner whose update thread hangs must not renew its lease. The rules are in ``pyd2.queue.shared``, the
client of NATS in ``pyd2.queue.nats``.
"""
