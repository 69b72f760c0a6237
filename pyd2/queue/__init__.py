"""The durable queue: accepted requests are on disk until they are done (contract, section 12, row 5).

``states`` has the table of all states: read that first. ``durable`` is the queue between the listener and the
engine: it numbers the requests that are ``pending``, and ``release`` hands them to the engine. ``lifecycle``
follows the states of the store below. ``interface`` declares that store, for the web page and for tools too;
``sqlite`` is one, and only ``choice`` knows it. ``ncrs`` reads requests, where the queue must know whose they
are.
"""
