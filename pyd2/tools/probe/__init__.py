"""``pyd2ctl lint --probe``: asks the DNS servers of a configuration whether they do what it expects."""
