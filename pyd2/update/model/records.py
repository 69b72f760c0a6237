"""The records of the steps of ``kinds.py`` and ``policies.py``, in the notation of RFC 2136.

F is the owner of a forward step, R that of a reverse step; T is the request's TTL. A* is A or AAAA: that of
the request's address. A' is the one of the two that A* is not.
"""

from __future__ import annotations

from pyd2.dns.constants import RRClass, RRType
from pyd2.dns.update import A_OR_AAAA, Data, RecordTemplate

NAME_NOT_IN_USE = RecordTemplate(RRType.ANY, RRClass.NONE)                             # F 0 NONE ANY
NAME_IN_USE = RecordTemplate(RRType.ANY, RRClass.ANY)                                  # F 0 ANY ANY
DHCID_IS_OURS = RecordTemplate(RRType.DHCID, RRClass.IN, Data.DHCID)                   # F 0 IN DHCID id
DHCID_EXISTS = RecordTemplate(RRType.DHCID, RRClass.ANY)                               # F 0 ANY DHCID
NO_DHCID = RecordTemplate(RRType.DHCID, RRClass.NONE)                                  # F 0 NONE DHCID
DHCID_IS_OTHERS = RecordTemplate(RRType.DHCID, RRClass.IN, Data.OTHER_DHCID)           # F 0 IN DHCID other
ADDRESS_IS_OURS = RecordTemplate(A_OR_AAAA, RRClass.IN, Data.ADDRESS)                  # F 0 IN A* addr
NO_ADDRESS = RecordTemplate(A_OR_AAAA, RRClass.NONE)                                   # F 0 NONE A*
OTHER_ADDRESS_EXISTS = RecordTemplate(A_OR_AAAA, RRClass.ANY, other_family=True)       # F 0 ANY A'
NO_CNAME = RecordTemplate(RRType.CNAME, RRClass.NONE)                                  # F 0 NONE CNAME
NO_A = RecordTemplate(RRType.A, RRClass.NONE)                                          # F 0 NONE A
NO_AAAA = RecordTemplate(RRType.AAAA, RRClass.NONE)                                    # F 0 NONE AAAA
PTR_IS_OURS = RecordTemplate(RRType.PTR, RRClass.IN, Data.TARGET)                      # R 0 IN PTR F

ADD_ADDRESS = RecordTemplate(A_OR_AAAA, RRClass.IN, Data.ADDRESS, with_ttl=True)       # F T IN A* addr
ADD_DHCID = RecordTemplate(RRType.DHCID, RRClass.IN, Data.DHCID, with_ttl=True)        # F T IN DHCID id
ADD_PTR = RecordTemplate(RRType.PTR, RRClass.IN, Data.TARGET, with_ttl=True)           # R T IN PTR F
DELETE_ADDRESS = RecordTemplate(A_OR_AAAA, RRClass.NONE, Data.ADDRESS)                 # F 0 NONE A* addr
DELETE_ADDRESSES = RecordTemplate(A_OR_AAAA, RRClass.ANY)                              # F 0 ANY A*
DELETE_DHCID = RecordTemplate(RRType.DHCID, RRClass.ANY)                               # F 0 ANY DHCID
DELETE_OWN_DHCID = RecordTemplate(RRType.DHCID, RRClass.NONE, Data.DHCID)              # F 0 NONE DHCID id
DELETE_PTR = RecordTemplate(RRType.PTR, RRClass.ANY)                                   # R 0 ANY PTR
DELETE_ALL = RecordTemplate(RRType.ANY, RRClass.ANY)                                   # F 0 ANY ANY
