"""Queries to DNS servers for operators: what they hold of a host, and whether a zone is as configured."""
