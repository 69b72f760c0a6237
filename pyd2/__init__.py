"""pyd2: a drop-in replacement for ISC Kea's DHCP-DDNS server."""

__version__ = "0.1.0"

KEA_VERSION = "2.6.3"
"""The Kea version that pyd2 emulates; printed wherever tools read a number."""
