"""Kea's JSON values: elements with positions, parser and printed forms; and how other texts are shown."""
