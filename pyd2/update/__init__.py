"""The engine: transactions, queue, lanes, retries, timers; no IO and no clock (contract, sections 3 to 6)."""
