"""Callouts for requests over HTTP in Kea's chain (cbridge/kea/http.h)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.data.element import Element
    from pyd2.hooks.kea.bridge import CData, Shim


class KeaHttpUse:
    """The callouts of one request over HTTP; a ``pyd2.hooks.interface.HttpUse``.

    As in Kea, the request is one object from the first callout to the end, and has the use of hooks.
    """

    def __init__(self, shim: Shim, done: Callable[[], None]) -> None:
        """``done`` does what is due after each run of libraries."""
        self._shim = shim
        self._done = done
        self._http: CData = None
        self._over = False

    @property
    def over(self) -> bool:
        """Whether the libraries have been unloaded."""
        return self._over

    def auth(self, request: Element, response: Element | None) -> tuple[Element, Element | None]:
        """Run http_auth; return the request to carry out and the response to send in place of it."""
        shim = self._shim
        left = shim.ffi.new("kb_element *[2]")
        shim.check(shim.lib.kb_http_auth(self._begun(request), shim.element(response), left, left + 1))
        changed, response = shim.value(left[0]), shim.value(left[1])
        self._done()
        assert changed is not None
        return changed, response

    def response(self, request: Element, response: Element) -> Element:
        """Run http_response for the response to a command; return the one to send."""
        shim = self._shim
        given = shim.element(response)
        left = shim.ffi.new("kb_element **", given)
        shim.check(shim.lib.kb_http_response(self._begun(request), left))
        changed = shim.value(left[0])
        self._done()
        # A library that takes the response away leaves nothing to send, so the server's own stays.
        return changed or response

    def end(self) -> None:
        """End the use, if it has begun: context_destroy runs."""
        self._http = None

    def unload(self) -> None:
        """End the use, because the libraries are about to be unloaded."""
        self._over = True
        self.end()

    def _begun(self, request: Element) -> CData:
        if self._http is None:
            shim = self._shim
            self._http = shim.own(shim.lib.kb_http_begin(shim.element(request)), shim.lib.kb_http_end)
        return self._http
