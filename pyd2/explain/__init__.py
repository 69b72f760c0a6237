"""What the daemon would do with a request, and why: for ``pyd2ctl explain`` and the API of the web page."""
