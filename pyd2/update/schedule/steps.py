"""What a turn of the loop may cost, and what its parts cost, in steps of some 10 us."""

from typing import Final

STEP: Final = 48
"""What the calls of a turn of the loop may cost together, and ``handle_timer`` again, where ``pace`` does not
lower it: steps of some 10 us."""
AS_A_STEP: Final = 4
"""Tries without an answer that take one step of the timer: half of its steps at most."""
BEGINNING: Final = 1
"""Steps of a request that begins, or sends its next update."""
SENDING: Final = 2
"""Steps of a lane whose updates are sent: a system call for each."""
TRYING_AGAIN: Final = 3
"""Steps of a retry that begins."""
FOR_RETRIES: Final = 4
"""One part in so many of a call's steps is left by lanes to retries that may begin, and to what follows from
ends."""
PARKING: Final = 4
"""Steps of a request that is to be tried again later."""
FOR_PROBES: Final = 2 * TRYING_AGAIN
"""Steps of a call that parking leaves to retries that may begin: else nothing would find out that a server is
back while very many requests are parked."""
