"""The configuration file's reader: tokens and the grammar's tables become a tree of elements.

It has Bison's error messages (contract, section 2.1), down to when the token after a comma is read:
Bison looks ahead only where two readings differ, and a warning names the file that is open at that moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from pyd2.config import grammar
from pyd2.config.lexer import BOOLEAN, COMMA, END, FLOAT, INTEGER, NULL, STRING, Lexer, Token
from pyd2.data.element import Element
from pyd2.data.secrets import HIDDEN, may_be_secret
from pyd2.errors import ConfigSyntaxError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyd2.config.grammar import AnyMap, List, Map, OneOf, String
    from pyd2.data.element import Position

MAX_NESTING: Final = 250
"""How deep maps and lists of any content may be nested; Kea has no limit.

All functions on elements recurse; this many levels are far below Python's limit of 1000 calls.
"""

_NO_KEYWORDS: Final[Mapping[str, str]] = {}
_TOP: Final = {"DhcpDdns": "DhcpDdns"}
_SCALARS: Final = frozenset({STRING, INTEGER, FLOAT, BOOLEAN, NULL})
_VALUES: Final = _SCALARS | {"{", "["}
_EXTRA_COMMA: Final = "Extraneous comma. A piece of configuration may have been omitted."
_MOST_EXPECTED: Final = 4


class Reader:
    """Reads one configuration file; ``warn`` gets the text of each warning, which begins with its place."""

    def __init__(
        self, path: str, dhcp_ddns: Map, read: Callable[[str], bytes], warn: Callable[[str], None]
    ) -> None:
        """Open the file; ``dhcp_ddns`` is the grammar. Raises ConfigSyntaxError, as all methods do."""
        self._rule = dhcp_ddns
        self._lexer = Lexer(path, read)
        self._warn = warn
        self._keywords = _NO_KEYWORDS
        """Which strings are keywords at present."""
        self._nesting = 0

    def dhcp_ddns(self) -> Element:
        """Read the whole file; return the value of its only key, ``DhcpDdns``."""
        self._keywords = _TOP
        self._expect("{")
        content = Element({}, self._position(self._expect("DhcpDdns")))
        self._typed_map(self._rule, content)
        self._keywords = _TOP
        while (token := self._next()).kind == COMMA:
            self._warn_of_comma(token)
        if token.kind != "}":
            self._fail(token, COMMA, "}")
        self._expect(END)
        return content

    # -- maps with known keys

    def _typed_map(self, rule: Map, scope: Element) -> None:
        """Read ``: { members }`` behind the map's key."""
        self._keywords = rule.keywords
        self._expect(":")
        self._members(rule, scope, self._expect("{"))

    def _members(self, rule: Map, scope: Element, opening: Token) -> None:
        """Read the members of a map behind its ``{``."""
        members = scope.map_value()
        token = self._next()
        if token.kind in rule.keys or (token.kind == STRING and rule.unknown_keys != "never"):
            self._member(rule, members, token)
            token = self._next()
        elif not rule.may_be_empty:
            self._fail(token, *rule.keys, *(() if rule.unknown_keys == "never" else (STRING,)))
        while token.kind == COMMA:
            comma, token = token, self._next()
            if token.kind in rule.keys or (token.kind == STRING and rule.unknown_keys == "named"):
                self._member(rule, members, token)
                token = self._next()
            else:
                self._warn_of_comma(comma)
        if token.kind != "}":
            self._fail(token, COMMA, "}")
        for name in rule.required:
            if name not in members:
                raise ConfigSyntaxError(
                    f"missing parameter '{name}' ({scope.position}) [{rule.name} map between "
                    f"{self._position(opening)} and {self._position(token)}]"
                )

    def _member(self, rule: Map, members: dict[str, Element], key: Token) -> None:
        """Read the value of a key, and put it into the map."""
        if key.kind == STRING:
            self._expect(":")
            shown = HIDDEN if may_be_secret(str(key.value)) else key.value
            self._fail_at(key, f'got unexpected keyword "{shown}" in {rule.name} map.')
        value = rule.keys[key.kind]
        if isinstance(value, grammar.String) and key.kind not in rule.exclusive:
            if key.kind in members:
                self._check_unique(rule.name, members, key.kind, key)
            members[key.kind] = self._string_member(value.blank, value.filled)
        elif isinstance(value, grammar.UserContext):
            self._user_context(members, key)
        elif isinstance(value, grammar.Comment):
            self._comment(members, key)
        elif isinstance(value, grammar.Integer | grammar.Boolean):
            # These two are checked for duplicates when they are complete, the others at their key.
            self._expect(":")
            token = self._expect(INTEGER if isinstance(value, grammar.Integer) else BOOLEAN)
            self._check_unique(rule.name, members, key.kind, key)
            if isinstance(value, grammar.Integer) and not value.valid(int(token.value or 0)):
                self._fail_at(token, value.fault)
            members[key.kind] = self._scalar(token)
        else:
            for name in rule.exclusive if key.kind in rule.exclusive else (key.kind,):
                self._check_unique(rule.name, members, name, key)
            self._guarded_member(value, members, key)
        self._keywords = rule.keywords

    def _guarded_member(
        self, value: String | OneOf | AnyMap | Map | List, members: dict[str, Element], key: Token
    ) -> None:
        """Read a member that is known to be the only one of its key."""
        if isinstance(value, grammar.Map):
            members[key.kind] = inner = Element({}, self._position(key))
            self._typed_map(value, inner)
        elif isinstance(value, grammar.List):
            members[key.kind] = entries = Element([], self._position(key))
            self._entries(value, entries.list_value())
        elif isinstance(value, grammar.OneOf):
            self._keywords = {word: word for word in value.words}
            self._expect(":")
            word = self._expect(*value.words)
            members[key.kind] = Element(word.kind, self._position(word))
        elif isinstance(value, grammar.AnyMap):
            members[key.kind] = self._any_map_member()
        else:
            members[key.kind] = self._string_member(value.blank, value.filled)

    def _entries(self, rule: List, entries: list[Element]) -> None:
        """Read ``: [ maps ]`` behind the list's key."""
        self._keywords = rule.entry.keywords
        self._expect(":")
        self._expect("[")
        token = self._next()
        if token.kind == "{":
            token = self._entry(rule, entries, token)
        elif not rule.may_be_empty:
            self._fail(token, "{")
        while token.kind == COMMA and entries:
            comma, token = token, self._next()
            if token.kind == "{":
                token = self._entry(rule, entries, token)
            else:
                self._warn_of_comma(comma)
        if token.kind != "]":
            self._fail(token, *(("]",) if rule.may_be_empty else (COMMA, "]")))

    def _entry(self, rule: List, entries: list[Element], opening: Token) -> Token:
        """Read a list's entry behind its ``{``; return the token after its ``}``."""
        entry = Element({}, self._position(opening))
        entries.append(entry)
        self._members(rule.entry, entry, opening)
        return self._next()

    def _check_unique(self, context: str, members: dict[str, Element], name: str, key: Token) -> None:
        if (old := members.get(name)) is not None:
            raise ConfigSyntaxError(
                f"{self._position(key)}: duplicate {name} entries in {context} map "
                f"(previous at {old.position})".partition("\0")[0]
            )

    # -- simple members

    def _string_member(self, blank: str | None = None, filled: str | None = None) -> Element:
        self._keywords = _NO_KEYWORDS
        colon = self._expect(":")
        token = self._expect(STRING)
        fault = filled if token.value else blank
        if fault is not None:
            self._fail_at(colon, fault)
        return self._scalar(token)

    def _any_map_member(self) -> Element:
        self._keywords = _NO_KEYWORDS
        self._expect(":")
        return self._any_map(self._expect("{"))

    def _user_context(self, members: dict[str, Element], key: Token) -> None:
        context = self._any_map_member()
        old = members.get("user-context")
        if old is not None:
            if old.map_value().keys() != {"comment"}:
                self._fail_at(key, f"duplicate user-context entries (previous at {old.position})")
            context.map_value()["comment"] = old.map_value()["comment"]
        members["user-context"] = context

    def _comment(self, members: dict[str, Element], key: Token) -> None:
        comment = self._string_member()
        context = Element({"comment": comment}, self._position(key))
        old = members.get("user-context")
        if old is not None:
            if "comment" in old.map_value():
                self._fail_at(key, f"duplicate user-context/comment entries (previous at {old.position})")
            # As Kea merges: members that are null go.
            context.map_value().update((k, v) for k, v in old.map_value().items() if v.value is not None)
        members["user-context"] = context

    # -- values of any content

    def _any_value(self, token: Token) -> Element:
        if token.kind == "{":
            return self._any_map(token)
        if token.kind == "[":
            return self._any_list(token)
        if token.kind not in _SCALARS:
            self._fail(token)
        return self._scalar(token)

    def _any_map(self, opening: Token) -> Element:
        """Read a map behind its ``{``."""
        self._descend(opening)
        members: dict[str, Element] = {}
        result = Element(members, self._position(opening))
        token = self._next()
        if token.kind == STRING:
            token = self._any_member(members, token)
        while token.kind == COMMA and members:
            comma, token = token, self._next()
            if token.kind == STRING:
                token = self._any_member(members, token)
            else:
                self._warn_of_comma(comma)
        if token.kind != "}":
            self._fail(token, "}")
        self._nesting -= 1
        return result

    def _any_member(self, members: dict[str, Element], key: Token) -> Token:
        """Read the value of a key; return the token after it."""
        self._expect(":")
        value = self._any_value(self._next())
        name = str(key.value)
        self._check_unique("JSON", members, name, key)
        members[name] = value
        return self._next()

    def _any_list(self, opening: Token) -> Element:
        """Read a list behind its ``[``."""
        self._descend(opening)
        items: list[Element] = []
        result = Element(items, self._position(opening))
        token = self._next()
        if token.kind in _VALUES:
            items.append(self._any_value(token))
            token = self._next()
        while token.kind == COMMA and items:
            comma, token = token, self._next()
            if token.kind in _VALUES:
                items.append(self._any_value(token))
                token = self._next()
            else:
                self._warn_of_comma(comma)
        if token.kind != "]":
            self._fail(token, "]")
        self._nesting -= 1
        return result

    def _scalar(self, token: Token) -> Element:
        return Element(token.value, self._position(token))

    def _descend(self, opening: Token) -> None:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            self._fail_at(opening, f"more than {MAX_NESTING} levels of nesting")

    # -- tokens and faults

    def _next(self) -> Token:
        return self._lexer.next(self._keywords)

    def _expect(self, *kinds: str) -> Token:
        token = self._lexer.next(self._keywords)
        if token.kind not in kinds:
            self._fail(token, *kinds)
        return token

    def _position(self, token: Token) -> Position:
        return self._lexer.position(token)

    def _warn_of_comma(self, comma: Token) -> None:
        self._warn(f"{self._lexer.place(comma)}: {_EXTRA_COMMA}")

    def _fail(self, token: Token, *expected: str) -> NoReturn:
        """Raise Bison's error for a token; it lists the expected tokens if they are few."""
        hope = f", expecting {' or '.join(expected)}" if 0 < len(expected) <= _MOST_EXPECTED else ""
        self._fail_at(token, f"syntax error, unexpected {token.kind}{hope}")

    def _fail_at(self, token: Token, text: str) -> NoReturn:
        raise ConfigSyntaxError(f"{self._lexer.place(token)}: {text}".partition("\0")[0])
