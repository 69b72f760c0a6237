"""A D2 between a sender of requests and scripted DNS servers: where NCR and transaction cases run."""

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from tests.kit import ncr
from tests.kit.d2 import D2, private_directory
from tests.kit.normalise import PortMap, log_entries
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns

STUBS = {"A": 53981, "B": 53982, "C": 53983}  # the scripted servers' ports in the recorded cases
NCR_PORT = 53980
FINAL = re.compile(r"DHCP_DDNS_(?:ADD|REMOVE)_(?:SUCCEEDED|FAILED)|STATE_MODEL_UNEXPECTED"
                   r"|NO_(?:FWD|REV)_MATCH_ERROR|REQUEST_DROPPED|INVALID_NCR")


class Station:
    """A D2 with the scripted DNS servers it talks to; it serves one case after another.

    It keeps its server as long as the cases want the same configuration and it stays well.
    """

    d2: D2
    dns: ScriptedDns
    ports: PortMap
    mark: int  # where the log of the present case begins, in characters

    def __init__(self, binary: str) -> None:
        self._binary = binary
        self._config = ""
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the server."""
        self._config = ""
        self._stack.close()

    def prepare(self, config: Mapping[str, Any], replies: Iterable[Mapping[str, Any]] = ()) -> None:
        """Have a server with this configuration, its statistics at 0, and this script of replies."""
        text = json.dumps(config, indent=1)
        if text != self._config or not self.d2.alive:
            self.close()
            lease = self._stack.enter_context(PortLease())
            self.ports = PortMap(lease, [text, *(str(port) for port in STUBS.values())])
            self.dns = self._stack.enter_context(
                ScriptedDns({name: self.ports[port] for name, port in STUBS.items()}))
            directory = self._stack.enter_context(private_directory())
            self.d2 = D2.start(self._binary, directory, self.ports.apply(text))
            self._stack.callback(self.d2.process.kill)
            self.d2.wait_for_listener(self.ports[NCR_PORT])
            self._config = text
        keys = {key["name"].lower().rstrip(".") + ".": base64.b64decode(key["secret"])
                for key in config["DhcpDdns"].get("tsig-keys", [])}
        self.dns.set_script(replies, keys)
        self.d2.command("statistic-reset-all")
        self.d2.barrier()
        # The line that is being written belongs to the rig's last command.
        self.mark = self.d2.stdout().rfind("\n") + 1

    def send(self, datagram: bytes) -> None:
        """Send a datagram to the server's NCR port."""
        ncr.send(datagram, self.ports[NCR_PORT])

    def log(self) -> list[list[str]]:
        """Return what was logged since the case began, without the rig's commands."""
        return [entry for entry in log_entries(self.d2.stdout()[self.mark:], str(self.d2.directory))
                if not entry[2].startswith("COMMAND_")]

    def finals(self) -> int:
        """Return how many requests have come to their end since the case began."""
        return len(FINAL.findall(self.d2.stdout(), self.mark))
