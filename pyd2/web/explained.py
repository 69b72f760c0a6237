"""What pyd2 would do with a request, as the API shows it: ``explain``. Nothing is sent."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from pyd2.dns.names import name_text, parse_name
from pyd2.errors import DomainNameError
from pyd2.history.search import address_text
from pyd2.ncr import ChangeType, ConflictResolutionMode, NameChangeRequest
from pyd2.web.answers import ApiError, json_response, parameters

if TYPE_CHECKING:
    from pyd2.control.http_pages import PageRequest
    from pyd2.control.http_response import Response
    from pyd2.web.watch import Watch

_CLIENT: Final = b"\x00\x01\x01" + bytes(range(32))
"""The DHCID of an example."""
_MODES: Final = {mode.value: mode for mode in ConflictResolutionMode}
_TRUTH: Final = {"false": False, "0": False, "true": True, "1": True}


class Explained:
    """The endpoint; ``watch`` knows the configuration."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def source(self, request: PageRequest) -> Response:
        """``/api/v1/explain?name=&address=&mode=&remove=``: what becomes of such a request, and why."""
        given = parameters(
            request.query, {"name": "", "address": "", "mode": "check-with-dhcid", "remove": "false"}
        )
        ncr = _request(given)
        # With dnspython, which is not loaded before the first question.
        from dataclasses import asdict

        from pyd2.explain.explanation import explain

        index = self._watch.index()
        found: dict[str, Any] = asdict(explain(index.config, index.matchers, ncr))
        return json_response({**found, "hooks": bool(index.config.hooks_libraries)})


def _request(given: dict[str, Any]) -> NameChangeRequest:
    """Return the request that the parameters describe. Raises ApiError."""
    if not given["name"] or not given["address"]:
        raise ApiError("bad-request", "name and address are needed")
    try:
        wire = parse_name(given["name"])
        address = ip_address(given["address"]).packed
    except (DomainNameError, ValueError) as error:
        raise ApiError("bad-request", str(error)) from None
    if given["mode"] not in _MODES:
        raise ApiError("bad-request", f"mode must be one of {', '.join(_MODES)}")
    if given["remove"] not in _TRUTH:
        raise ApiError("bad-request", "remove must be true or false")
    return NameChangeRequest(
        change_type=ChangeType.REMOVE if _TRUTH[given["remove"]] else ChangeType.ADD,
        forward_change=True,
        reverse_change=True,
        fqdn=name_text(wire),
        fqdn_wire=wire,
        address=address,
        address_text=address_text(address),
        dhcid=_CLIENT,
        lease_expires_on="20400102030405",
        lease_length=3600,
        conflict_resolution_mode=_MODES[given["mode"]],
    )
