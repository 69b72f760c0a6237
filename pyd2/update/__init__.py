"""The engine: transactions, queue, server lanes, retries, timers; no IO, no clock (contract, sections 3 to 6)."""
