"""What ./dev has of its own besides the commands that it runs."""


class DevError(Exception):
    """The command cannot be carried out; the text says why and what to do."""
