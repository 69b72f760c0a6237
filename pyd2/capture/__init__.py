"""A capture: the requests that arrive, and the updates that they lead to, in a file of JSON lines."""
