"""The DNS servers of the configuration and Kea's objects of them (cbridge/kea/configuration.h)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from pyd2.config.addresses import address_text
from pyd2.data.element import Element
from pyd2.errors import HookError

if TYPE_CHECKING:
    from pyd2.config.model import Config, DnsServer
    from pyd2.hooks.kea.bridge import CData, Shim


class ServerHandles(NamedTuple):
    """A server and its object in C++."""

    server: DnsServer
    handle: CData
    key: CData
    """The object of its key; NULL when it has none."""


class Servers:
    """The servers by their objects in Python and in C++."""

    def __init__(self, shim: Shim) -> None:
        self._shim = shim
        self._by_id: dict[int, ServerHandles] = {}
        self._by_identity: dict[int, DnsServer] = {}

    def clear(self) -> None:
        """Forget all servers."""
        self._by_id.clear()
        self._by_identity.clear()

    def replace(self, config: Config, context: CData) -> None:
        """Hold the servers of a configuration and no others; ``context`` is Kea's object of it."""
        self.clear()
        lib = self._shim.lib
        for reverse, domains in enumerate((config.forward_domains, config.reverse_domains)):
            for domain in domains:
                name = self._shim.bytes(domain.name)
                for index, server in enumerate(domain.servers):
                    handle = lib.kb_config_server(context, reverse, name, index)
                    if handle:
                        self._add(server, handle)

    def of(self, server: DnsServer) -> ServerHandles:
        """Return the objects of a server. One of an earlier configuration gets new ones."""
        return self._by_id.get(id(server)) or self._add(server, self._make(server))

    def server(self, identity: int) -> DnsServer:
        """Return the server of a C++ object; HookError when it is unknown."""
        try:
            return self._by_identity[identity]
        except KeyError:
            raise HookError("the argument is a server that a compiled library has made") from None

    def _make(self, server: DnsServer) -> CData:
        shim, key = self._shim, server.key
        null = shim.ffi.NULL
        return shim.lib.kb_server_new(
            address_text(server.address).encode(),
            server.port,
            shim.bytes(key.name) if key else null,
            shim.bytes(key.algorithm) if key else null,
            base64.b64encode(key.secret) if key else null,
            key.digest_bits if key else 0,
        )

    def _add(self, server: DnsServer, pointer: CData) -> ServerHandles:
        shim, lib = self._shim, self._shim.lib
        handle = shim.own(pointer, lib.kb_server_free)
        key = lib.kb_server_key(handle)
        made = ServerHandles(server, handle, shim.own(key, lib.kb_key_free) if key else shim.ffi.NULL)
        self._by_id[id(server)] = made
        self._by_identity[lib.kb_server_identity(handle)] = server
        return made


def with_loaded_libraries(element: Element, config: Config) -> Element:
    """Return the DhcpDdns map with the full paths of its libraries, as Kea's parser stores them."""
    entries = []
    for library in config.hooks_libraries:
        members = {"library": Element(library.library)}
        if library.parameters is not None:
            members["parameters"] = library.parameters
        entries.append(Element(members, library.position))
    return Element({**element.map_value(), "hooks-libraries": Element(entries)}, element.position)
