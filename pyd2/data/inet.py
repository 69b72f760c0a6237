"""The text of IP addresses by the system's functions: all of ``socket`` that the engine needs."""

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

__all__ = ["AF_INET", "AF_INET6", "inet_ntop", "inet_pton"]
