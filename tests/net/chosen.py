"""The back end that the tests work with, and its datagrams; conftest.py sets each in turn."""

from pyd2.net.datagrams import Datagrams, PythonDatagrams

name = "plain"
datagrams: Datagrams = PythonDatagrams()
