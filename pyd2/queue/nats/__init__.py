"""The way to a queue that several machines share: a client of NATS JetStream.

Loaded only if a configuration asks for it. ``parser`` reads the protocol and ``commands`` writes it, both
without IO. ``connection`` is one connection to one server, ``session`` keeps one up. ``jetstream`` has the
calls of JetStream that a queue needs, ``reader`` reads a stream in order, and ``site`` keeps the queue of a
site there (``shared``). All of it runs in one thread with a loop of asyncio.
"""
