"""``pyd2ctl queue create`` and ``queue check``: the streams of a queue that several machines share."""
