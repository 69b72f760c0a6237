"""Numbers with their noun, for texts that people read."""


def counted(number: int, noun: str) -> str:
    """Return ``1 request`` or ``2 requests``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
