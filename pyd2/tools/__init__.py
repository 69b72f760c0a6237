"""Tools that an operator runs beside the daemon: ``pyd2ctl``."""
