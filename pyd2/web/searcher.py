"""Searches in the history, each for a limited time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pyd2.history import FILE
from pyd2.history.search import History, HistoryError, SearchTimeoutError
from pyd2.web.answers import ApiError, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.control.http_response import Response

SECONDS: Final = 3.0
"""How long a search may take."""

Search: TypeAlias = "Callable[[History], Any]"
"""Looks into an open history, and returns what is to be answered, as JSON has it. Raises ValueError."""


def search_response(directory: str, search: Search) -> Response:
    """Search the history of a directory; return the response, whatever happens."""
    try:
        history = History(Path(directory, FILE))
        try:
            history.limit_time(SECONDS)
            return json_response(search(history))
        finally:
            history.close()
    except ApiError as error:
        return error.response
    except SearchTimeoutError as error:
        return ApiError("too-slow", str(error)).response
    except HistoryError as error:
        return ApiError("unreadable", str(error)).response
    except ValueError as error:
        return ApiError("bad-request", str(error)).response
    except Exception as error:  # a client that waits gets an answer
        return ApiError("unreadable", f"the history cannot be read: {error!r}").response
