"""The packet layer: what turns datagrams into requests and steps into messages. Bytes in, bytes out.

There are two with one face: ``plain.py`` over the Python codec, which is the reference and works everywhere;
and ``compiled.py`` over the C codec in ``cbridge/wire``, which an installation with a C compiler gets.
"""
