"""Requests that are tried again later."""
