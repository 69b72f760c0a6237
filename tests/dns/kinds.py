"""The messages of the eight transaction kinds (contract, section 5.3), for the tests of the codec."""

from __future__ import annotations

import itertools

from pyd2.dns.constants import RRClass, RRType
from pyd2.dns.update import A_OR_AAAA, Data, RecordTemplate, UpdateTemplate

_NAME_IN_USE = RecordTemplate(RRType.ANY, RRClass.ANY)
_NAME_FREE = RecordTemplate(RRType.ANY, RRClass.NONE)
_SAME_CLIENT = RecordTemplate(RRType.DHCID, RRClass.IN, Data.DHCID)
_SOME_CLIENT = RecordTemplate(RRType.DHCID, RRClass.ANY)
_NO_A = RecordTemplate(RRType.A, RRClass.NONE)
_NO_AAAA = RecordTemplate(RRType.AAAA, RRClass.NONE)
_POINTS_HERE = RecordTemplate(RRType.PTR, RRClass.IN, Data.TARGET)

_ADD_ADDRESS = RecordTemplate(A_OR_AAAA, RRClass.IN, Data.ADDRESS, with_ttl=True)
_ADD_DHCID = RecordTemplate(RRType.DHCID, RRClass.IN, Data.DHCID, with_ttl=True)
_ADD_PTR = RecordTemplate(RRType.PTR, RRClass.IN, Data.TARGET, with_ttl=True)
_DELETE_ADDRESSES = RecordTemplate(A_OR_AAAA, RRClass.ANY)
_DELETE_ADDRESS = RecordTemplate(A_OR_AAAA, RRClass.NONE, Data.ADDRESS)
_DELETE_DHCID = RecordTemplate(RRType.DHCID, RRClass.ANY)
_DELETE_PTR = RecordTemplate(RRType.PTR, RRClass.ANY)
_DELETE_NAME = RecordTemplate(RRType.ANY, RRClass.ANY)

ADD_NEW = UpdateTemplate((_NAME_FREE,), (_ADD_ADDRESS, _ADD_DHCID))
REPLACE_OWN = UpdateTemplate((_NAME_IN_USE, _SAME_CLIENT), (_DELETE_ADDRESSES, _ADD_ADDRESS))
REPLACE_ALL = (_DELETE_ADDRESSES, _DELETE_DHCID, _ADD_ADDRESS, _ADD_DHCID)
REPLACE_ANYONES = UpdateTemplate((_SOME_CLIENT,), REPLACE_ALL)
REPLACE = UpdateTemplate((), REPLACE_ALL)
REPLACE_ADDRESS = UpdateTemplate((), (_DELETE_ADDRESSES, _ADD_ADDRESS))
REPLACE_REVERSE = UpdateTemplate((), (_DELETE_PTR, _DELETE_DHCID, _ADD_PTR, _ADD_DHCID))
REPLACE_PTR = UpdateTemplate((), (_DELETE_PTR, _ADD_PTR))
REMOVE_OWN_ADDRESS = UpdateTemplate((_SAME_CLIENT,), (_DELETE_ADDRESS,))
REMOVE_OWN_NAME = UpdateTemplate((_SAME_CLIENT, _NO_A, _NO_AAAA), (_DELETE_NAME,))
REMOVE_ANYONES_ADDRESS = UpdateTemplate((_SOME_CLIENT,), (_DELETE_ADDRESS,))
REMOVE_ANYONES_DHCID = UpdateTemplate((_NO_A, _NO_AAAA), (_DELETE_DHCID,))
REMOVE_FORWARD = UpdateTemplate((), (_DELETE_ADDRESSES, _DELETE_DHCID))
REMOVE_ADDRESSES = UpdateTemplate((), (_DELETE_ADDRESSES,))
REMOVE_OWN_REVERSE = UpdateTemplate((_POINTS_HERE,), (_DELETE_NAME,))
REMOVE_REVERSE = UpdateTemplate((), (_DELETE_PTR, _DELETE_DHCID))
REMOVE_PTR = UpdateTemplate((), (_DELETE_PTR,))

FORWARD: dict[tuple[str, int], tuple[UpdateTemplate, ...]] = {
    ("check-with-dhcid", 0): (ADD_NEW, REPLACE_OWN),
    ("check-with-dhcid", 1): (REMOVE_OWN_ADDRESS, REMOVE_OWN_NAME),
    ("no-check-with-dhcid", 0): (REPLACE,),
    ("no-check-with-dhcid", 1): (REMOVE_FORWARD,),
    ("check-exists-with-dhcid", 0): (ADD_NEW, REPLACE_ANYONES),
    ("check-exists-with-dhcid", 1): (REMOVE_ANYONES_ADDRESS, REMOVE_ANYONES_DHCID),
    ("no-check-without-dhcid", 0): (REPLACE_ADDRESS,),
    ("no-check-without-dhcid", 1): (REMOVE_ADDRESSES,),
}
"""The forward messages of each kind, by mode and change type."""

REVERSE: dict[tuple[str, int], UpdateTemplate] = {
    ("check-with-dhcid", 0): REPLACE_REVERSE,
    ("check-with-dhcid", 1): REMOVE_OWN_REVERSE,
    ("no-check-with-dhcid", 0): REPLACE_REVERSE,
    ("no-check-with-dhcid", 1): REMOVE_REVERSE,
    ("check-exists-with-dhcid", 0): REPLACE_REVERSE,
    ("check-exists-with-dhcid", 1): REMOVE_OWN_REVERSE,
    ("no-check-without-dhcid", 0): REPLACE_PTR,
    ("no-check-without-dhcid", 1): REMOVE_PTR,
}
"""The reverse message of each kind."""

_ALL = (*itertools.chain.from_iterable(FORWARD.values()), *REVERSE.values())
TEMPLATES = list({id(template): template for template in _ALL}.values())
"""Each message once."""
