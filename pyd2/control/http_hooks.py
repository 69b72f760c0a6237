"""Requests and responses over HTTP in the form that hook libraries see: ``pyd2.hooks.interface.HttpUse``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.control.http_response import Response
from pyd2.data.element import Element

if TYPE_CHECKING:
    from pyd2.control.http_head import Head


def request_map(head: Head, body: Element | None, peer: str, user: str, *, tls: bool) -> Element:
    """Return a request as a map; ``user`` is empty when none was authenticated."""
    major, minor = head.version
    return Element(
        {
            "method": Element(head.method),
            "path": Element(head.target),
            "version": Element(f"{major}.{minor}"),
            "headers": Element({name: Element(value) for name, value in head.headers.items()}),
            "body": Element(None) if body is None else body,
            "remote-address": Element(peer),
            "user": Element(user),
            "tls": Element(tls),
        }
    )


def response_map(response: Response) -> Element:
    """Return a response as a map; it is no page."""
    assert isinstance(response.body, Element)
    return Element(
        {
            "status": Element(response.status),
            "headers": Element({name: Element(value) for name, value in response.headers}),
            "body": response.body,
        }
    )


def response_of(element: Element) -> Response:
    """Return the response that a library has left; its form was checked when the library set it."""
    members = element.map_value()
    headers = tuple((name, item.string_value()) for name, item in members["headers"].map_value().items())
    return Response(members["status"].int_value(), members["body"], headers)
