"""The functions that hook libraries in C can call: those of the table in pyd2_hook.h, which describes them.

The glue in C has checked the thread and null pointers before. ``Calls.failed`` turns exceptions into error
codes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pyd2.data.element import BigInteger, Element, sorted_items
from pyd2.data.json import from_json
from pyd2.data.text import to_text
from pyd2.errors import HookError, JsonError
from pyd2.hooks.c.handles import JSON, KEYS, RefusedError, calls, octets_of, text_of
from pyd2.hooks.c.library import CALLOUTS, LIBRARIES
from pyd2.hooks.c.signers import CKey
from pyd2.hooks.c_abi import ffi, lib
from pyd2.hooks.hook_thread import hook_thread
from pyd2.hooks.keys import TsigKey
from pyd2.hooks.points import JSON_KINDS, has_argument, kind_of
from pyd2.hooks.values import to_element

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.dns.tsig import SigningKey
    from pyd2.hooks.c.library import SharedObject
    from pyd2.hooks.handle import CalloutHandle

F = TypeVar("F", bound="Callable[..., int]")

# ruff: noqa: ANN401  Any is C data

OK: int = lib.PYD2_HOOK_OK
INVALID: int = lib.PYD2_HOOK_E_INVALID
NOT_FOUND: int = lib.PYD2_HOOK_E_NOT_FOUND
WRONG_TYPE: int = lib.PYD2_HOOK_E_TYPE


def _exported(function: F) -> F:
    """Make a function available to the glue as ``pyd2_py_NAME``."""
    name = f"pyd2_py{function.__name__}"
    export: Any = ffi.def_extern  # its annotation does not say that it is a decorator
    export(name=name, error=lib.PYD2_HOOK_E_INTERNAL, onerror=calls.failed)(function)
    return function


# The library.


@_exported
def _register_callout(library: int, hook: Any, length: int, function: Any, user: Any) -> int:
    owner = LIBRARIES.get(library)
    registrar = owner.registrar()
    name = text_of(hook, length)
    try:
        registrar.register_callout(name, owner.callout(name, function, user))
    except HookError as error:
        raise RefusedError(NOT_FOUND, str(error)) from error
    return OK


@_exported
def _register_command(library: int, command: Any, length: int, function: Any, user: Any) -> int:
    owner = LIBRARIES.get(library)
    owner.registrar().register_command(text_of(command, length), owner.callout("", function, user))
    return OK


@_exported
def _parameters(library: int, json: Any) -> int:
    json[0] = LIBRARIES.get(library).parameters()
    return OK


@_exported
def _library_name(library: int, name: Any) -> int:
    calls.lend_text(name, LIBRARIES.get(library).name)
    return OK


@_exported
def _library_index(library: int, index: Any) -> int:
    index[0] = LIBRARIES.get(library).handle.index
    return OK


@_exported
def _log(library: int, severity: int, text: Any, length: int) -> int:
    log = LIBRARIES.get(library).handle.log
    write = {
        lib.PYD2_HOOK_DEBUG: log.debug, lib.PYD2_HOOK_INFO: log.info,
        lib.PYD2_HOOK_WARN: log.warn, lib.PYD2_HOOK_ERROR: log.error,
    }.get(severity)
    if write is None:
        raise RefusedError(INVALID, f"{severity} is no severity")
    write(text_of(text, length))
    return OK


# JSON.

_TYPES: dict[type, int] = {
    type(None): lib.PYD2_HOOK_JSON_NULL,
    bool: lib.PYD2_HOOK_JSON_BOOLEAN,
    int: lib.PYD2_HOOK_JSON_INTEGER,
    BigInteger: lib.PYD2_HOOK_JSON_INTEGER,
    float: lib.PYD2_HOOK_JSON_REAL,
    str: lib.PYD2_HOOK_JSON_TEXT,
    list: lib.PYD2_HOOK_JSON_LIST,
    dict: lib.PYD2_HOOK_JSON_MAP,
}
_INDEX = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_BAD_ESCAPE = re.compile(r"~(?![01])")


def _at(json: int, pointer: Any, length: int) -> Element:
    """Return the value to which a JSON pointer leads (RFC 6901)."""
    element = JSON.get(json)
    if length == 0:
        return element
    path = text_of(pointer, length)
    if path[0] != "/" or _BAD_ESCAPE.search(path):
        raise RefusedError(INVALID, f"{path} is no JSON pointer")
    for token in path[1:].split("/"):
        found: Element | None = None
        if isinstance(element.value, dict):
            found = element.value.get(token.replace("~1", "/").replace("~0", "~"))
        elif isinstance(element.value, list) and _INDEX.fullmatch(token) and len(token) < 10:
            index = int(token)
            found = element.value[index] if index < len(element.value) else None
        if found is None:
            raise RefusedError(NOT_FOUND, f"there is no {path}")
        element = found
    return element


def _wrong_type(element: Element, wanted: str) -> RefusedError:
    return RefusedError(WRONG_TYPE, f"{wanted} is expected, not {element.type_name}")


@_exported
def _json_type(json: int, pointer: Any, length: int, out: Any) -> int:
    out[0] = _TYPES[type(_at(json, pointer, length).value)]
    return OK


@_exported
def _json_text(json: int, pointer: Any, length: int, out: Any) -> int:
    element = _at(json, pointer, length)
    if type(element.value) is not str:
        raise _wrong_type(element, "string")
    calls.lend_text(out, element.value)
    return OK


@_exported
def _json_integer(json: int, pointer: Any, length: int, out: Any) -> int:
    element = _at(json, pointer, length)
    if type(element.value) is not int:
        raise _wrong_type(element, "integer")
    out[0] = element.value
    return OK


@_exported
def _json_real(json: int, pointer: Any, length: int, out: Any) -> int:
    element = _at(json, pointer, length)
    if isinstance(element.value, bool) or not isinstance(element.value, int | float):
        raise _wrong_type(element, "real")
    out[0] = float(element.value)
    return OK


@_exported
def _json_boolean(json: int, pointer: Any, length: int, out: Any) -> int:
    element = _at(json, pointer, length)
    if type(element.value) is not bool:
        raise _wrong_type(element, "boolean")
    out[0] = element.value
    return OK


@_exported
def _json_count(json: int, pointer: Any, length: int, out: Any) -> int:
    element = _at(json, pointer, length)
    if not isinstance(element.value, list | dict):
        raise _wrong_type(element, "list or map")
    out[0] = len(element.value)
    return OK


@_exported
def _json_name(json: int, pointer: Any, length: int, index: int, out: Any) -> int:
    element = _at(json, pointer, length)
    if not isinstance(element.value, dict):
        raise _wrong_type(element, "map")
    if index >= len(element.value):
        raise RefusedError(NOT_FOUND, f"the map has {len(element.value)} members")
    calls.lend_text(out, sorted_items(element.value)[index][0])
    return OK


@_exported
def _json_print(json: int, pointer: Any, length: int, out: Any) -> int:
    calls.lend_text(out, to_text(_at(json, pointer, length)))
    return OK


@_exported
def _json_quote(text: Any, length: int, out: Any) -> int:
    calls.lend_text(out, to_text(Element(text_of(text, length))))
    return OK


# A callout.


def _handle(callout: int) -> CalloutHandle:
    return CALLOUTS.get(callout)[0]


@_exported
def _hook_name(callout: int, out: Any) -> int:
    calls.lend_text(out, _handle(callout).hook_name)
    return OK


def _argument(callout: int, name: Any, length: int) -> tuple[CalloutHandle, str, object]:
    """Return the callout, the name of the argument, and its value."""
    handle = _handle(callout)
    argument = text_of(name, length)
    try:
        return handle, argument, handle.use().get(argument)
    except HookError as error:
        raise RefusedError(NOT_FOUND, str(error)) from error


def _other_form(name: str, wanted: str, value: object) -> RefusedError:
    return RefusedError(WRONG_TYPE, f"argument {name} is no {wanted} but {type(value).__name__}")


_READ_AS_JSON = JSON_KINDS | {None}


@_exported
def _argument_json(callout: int, name: Any, length: int, json: Any) -> int:
    handle, argument, value = _argument(callout, name, length)
    if isinstance(value, Element):
        element = value
    elif kind_of(handle.hook_name, argument) not in _READ_AS_JSON:
        raise _other_form(argument, "JSON value", value)
    else:
        try:
            element = to_element(value)
        except HookError as error:
            raise _other_form(argument, "JSON value", value) from error
    json[0] = JSON.lend(element)
    return OK


@_exported
def _argument_text(callout: int, name: Any, length: int, text: Any) -> int:
    _, argument, value = _argument(callout, name, length)
    if not isinstance(value, str):
        raise _other_form(argument, "text", value)
    calls.lend_text(text, value)
    return OK


def _set_argument(callout: int, name: Any, length: int, value: object) -> int:
    handle = _handle(callout)
    try:
        handle.set_argument(text_of(name, length), value)
    except HookError as error:
        raise RefusedError(WRONG_TYPE, str(error)) from error
    return OK


@_exported
def _set_argument_json(callout: int, name: Any, length: int, json: Any, json_length: int) -> int:
    try:
        element = from_json(octets_of(json, json_length))
    except JsonError as error:
        raise RefusedError(INVALID, str(error)) from error
    return _set_argument(callout, name, length, element.plain())


@_exported
def _set_argument_text(callout: int, name: Any, length: int, text: Any, text_length: int) -> int:
    return _set_argument(callout, name, length, text_of(text, text_length))


def _with_tsig_key(callout: int) -> CalloutHandle:
    """Return a callout on a hook point that has a tsig_key."""
    handle = _handle(callout)
    if not has_argument(handle.hook_name, "tsig_key"):
        raise RefusedError(NOT_FOUND, "this hook point has no tsig_key")
    return handle


@_exported
def _tsig_key(callout: int, out: Any) -> int:
    key = cast("SigningKey | None", _with_tsig_key(callout).use().get("tsig_key"))
    out[0] = 0 if key is None else KEYS.lend(key)
    return OK


@_exported
def _set_tsig_key(callout: int, key: int) -> int:
    _with_tsig_key(callout).set_argument("tsig_key", KEYS.get(key) if key else None)
    return OK


class Value:
    """A value that a library keeps during a use of hooks; its last reference runs the destroy function."""

    __slots__ = ("_destroy", "_shared_object", "pointer")

    def __init__(self, pointer: Any, destroy: Any, shared_object: SharedObject) -> None:
        """``destroy`` is a function in ``shared_object``."""
        self.pointer = pointer
        self._destroy = destroy
        shared_object.acquire()
        self._shared_object = shared_object

    def __del__(self) -> None:
        hook_thread.run(_destroy, self._destroy, self.pointer, self._shared_object)


def _destroy(destroy: Any, pointer: Any, shared_object: SharedObject) -> None:
    if destroy:
        calls.run(lib.pyd2_glue_destroy, destroy, pointer)
    shared_object.release()


def _kept(callout: int, name: Any, length: int) -> tuple[CalloutHandle, str, Value]:
    handle = _handle(callout)
    key = text_of(name, length)
    try:
        value = handle.get_context(key)
    except HookError as error:
        raise RefusedError(NOT_FOUND, str(error)) from error
    assert isinstance(value, Value)
    return handle, key, value


@_exported
def _set_context(callout: int, name: Any, length: int, value: Any, destroy: Any) -> int:
    handle, shared_object = CALLOUTS.get(callout)
    handle.set_context(text_of(name, length), Value(value, destroy, shared_object))
    return OK


@_exported
def _context(callout: int, name: Any, length: int, value: Any) -> int:
    value[0] = _kept(callout, name, length)[2].pointer
    return OK


@_exported
def _delete_context(callout: int, name: Any, length: int) -> int:
    handle, key, value = _kept(callout, name, length)
    del value  # the last reference is the context's now
    handle.delete_context(key)
    return OK


# Keys.


@_exported
def _key_new(
    library: int, name: Any, name_length: int, algorithm: Any, algorithm_length: int, secret: Any,
    secret_length: int, digest_bits: int, key: Any,
) -> int:
    owner = LIBRARIES.get(library)
    made = TsigKey(
        text_of(name, name_length), text_of(algorithm, algorithm_length), text_of(secret, secret_length),
        digest_bits,
    )
    key[0] = owner.add_key(made)
    return OK


@_exported
def _signer_new(
    library: int, name: Any, name_length: int, algorithm: Any, algorithm_length: int, signer: Any, user: Any,
    key: Any,
) -> int:
    owner = LIBRARIES.get(library)
    made = CKey(
        text_of(name, name_length), text_of(algorithm, algorithm_length), signer, user, owner.shared_object,
    )
    key[0] = owner.add_key(made)
    return OK


@_exported
def _key_name(key: int, out: Any) -> int:
    calls.lend_text(out, KEYS.get(key).name)
    return OK


@_exported
def _key_algorithm(key: int, out: Any) -> int:
    calls.lend_text(out, KEYS.get(key).algorithm)
    return OK


@_exported
def _key_release(library: int, key: int) -> int:
    LIBRARIES.get(library).release_key(key)
    return OK


# Timers.


@_exported
def _timer_start(library: int, delay: int, period: int, function: Any, user: Any, timer: Any) -> int:
    timer[0] = LIBRARIES.get(library).timers.start(delay / 1000, period / 1000, function, user)
    return OK


@_exported
def _timer_cancel(library: int, timer: int) -> int:
    LIBRARIES.get(library).timers.cancel(timer)
    return OK
