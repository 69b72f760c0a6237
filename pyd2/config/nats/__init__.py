"""The switches of a queue on NATS JetStream; loaded only if a configuration asks for one.

``servers`` reads the addresses of the servers, ``switches`` all of the block.
"""
