"""The operator's tools: ``pyd2ctl``."""
