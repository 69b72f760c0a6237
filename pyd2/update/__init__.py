"""The engine: transactions, queue, server lanes, retries, timers; no IO and no clock (contract, section 5)."""
