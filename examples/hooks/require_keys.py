"""Refuse a configuration in which an update could leave unsigned, and say why.

It takes no parameters: ``"hooks-libraries": [ { "library": "require_keys.py" } ]``
"""

from pyd2.hooks import VERSION, CalloutHandle, Status


def version() -> int:
    """Say for which version of the hooks this library was written."""
    return VERSION


def d2_srv_configured(handle: CalloutHandle) -> None:
    """Look for servers without a key. The text of ``error`` becomes the answer of config-set."""
    config = handle.get_argument("server_config")
    unsigned = [
        f"{server.address} of {domain.name}"
        for domain in (*config.forward_domains, *config.reverse_domains)
        for server in domain.servers
        if server.key is None
    ]
    if unsigned:
        handle.set_argument("error", f"no TSIG key for {', '.join(unsigned)}")
        handle.status = Status.DROP
