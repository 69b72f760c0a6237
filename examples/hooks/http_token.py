"""Let clients of the HTTP control socket in that show a token, for some commands; Kea 3.0 only.

    "hooks-libraries": [
        { "library": "http_token.py",
          "parameters": { "tokens": { "monitor": "a long random text" }, "commands": [ "status-get" ] } }
    ]

A client sends the header ``Authorization: Bearer TOKEN``. All others are treated as without this library.
"""

import hmac

from pyd2.hooks import VERSION, CalloutHandle, HookError, LibraryHandle

tokens: dict[str, bytes] = {}
commands: set[str] = set()


def version() -> int:
    """Say for which version of the hooks this library was written."""
    return VERSION


def load(handle: LibraryHandle) -> None:
    """Read the parameters; without them the configuration is refused."""
    for name, token in (handle.get_parameter("tokens") or {}).items():
        tokens[name] = token.encode()
    commands.update(handle.get_parameter("commands") or ())
    if not tokens or not commands:
        raise HookError("the parameters tokens and commands must not be empty")


def http_auth(handle: CalloutHandle) -> None:
    """Let a client with a token in, and refuse what it may not send."""
    request = handle.get_argument("request")
    scheme, _, given = request["headers"].get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return
    names = [name for name, token in tokens.items() if hmac.compare_digest(token, given.strip().encode())]
    body = request["body"]
    if not names:
        handle.set_argument("response", {"status": 401, "body": {"result": 401, "text": "Unauthorized"}})
    elif not isinstance(body, dict) or body.get("command") not in commands:
        handle.set_argument("response", {"status": 403, "body": {"result": 403, "text": "Forbidden"}})
    else:
        handle.set_argument("response", None)
        request["user"] = names[0]
        handle.set_argument("request", request)
        handle.set_context("client", names[0])


def http_response(handle: CalloutHandle) -> None:
    """Note in the response whose token it was, and that it is not to be kept."""
    if "client" not in handle.context_names():
        return
    response = handle.get_argument("response")
    response["headers"] |= {"X-Client": handle.get_context("client"), "Cache-Control": "no-store"}
    handle.set_argument("response", response)
