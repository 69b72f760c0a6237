"""The queue that several machines share, whatever keeps it: its rules, without IO and without a clock.

Loaded only if a configuration asks for it. ``interface`` declares what keeps it, by four verbs. ``batch`` is
what receivers append, and ``outgoing`` what a receiver has under way. ``record`` says in one who owns the
queue and how far it is worked off, ``ownership`` has the rules of the lease, and ``progress`` knows what is
done; ``late`` is what would hold that back, and ``newest`` knows what comes too late.
"""
