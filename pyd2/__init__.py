"""pyd2: a drop-in replacement for ISC Kea's DHCP-DDNS server."""

__version__ = "0.2.0"
