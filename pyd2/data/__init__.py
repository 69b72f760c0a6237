"""Kea's JSON values: elements with positions, their parser, their printed forms; and how other texts are shown."""
