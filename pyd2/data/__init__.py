"""Kea's JSON values: elements with positions, their parser and their printed forms."""
