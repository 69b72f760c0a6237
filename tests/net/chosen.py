"""The datagrams that the tests work with; conftest.py sets each kind in turn."""

from pyd2.net.datagrams import Datagrams, PlainDatagrams

datagrams: Datagrams = PlainDatagrams()
