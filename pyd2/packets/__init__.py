"""The packet layer: what turns datagrams into requests and steps into messages. Bytes in, bytes out.

``layer.py`` is the interface. ``plain.py`` is over the Python codec, which is the reference and works
everywhere; ``compiled.py`` is over the C codec in ``cbridge/wire``. ``pyd2.backend`` chooses one of them.
"""
