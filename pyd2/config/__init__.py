"""The configuration: Kea's JSON dialect in, checked and frozen values out (contract, section 2)."""
