"""Batches: one UPDATE message with the updates of several transactions (the switch ``lanes.batch``).

They are made of what waits because a server's window is full. ``batcher.py`` decides what goes where;
``model/batch_rules.py`` says which steps may go in a batch and what its RCODE leads to.
"""
