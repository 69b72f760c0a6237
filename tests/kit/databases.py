"""Real databases on a free port of 127.0.0.1, with Kea's tables: PostgreSQL and MariaDB."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pymysql

from tests.kit import kea
from tests.kit.certificates import Certificate, make_authority, make_certificate
from tests.kit.ports import PortLease
from tests.kit.process import Process, find_program
from tests.kit.waiting import TIMEOUT

USER, PASSWORD, NAME = "kea", "not-to-be-shown", "kea"
_ROOT = 0
_SCRIPTS = "usr/share/kea/scripts"


class Database(NamedTuple):
    """A running database with Kea's tables."""

    system: str
    """``pgsql`` or ``mysql``."""
    kea_type: str
    port: int
    process: Process
    authority: Path
    """The certificate of the authority that has signed that of the server."""

    @property
    def url(self) -> str:
        """Where it is, as ``pyd2ctl reconcile`` takes it."""
        return f"{self.system}://{USER}@127.0.0.1:{self.port}/{NAME}"

    @property
    def lease_database(self) -> dict[str, Any]:
        """Return the map of that name for Kea's configuration."""
        return {"type": self.kea_type, "name": NAME, "host": "127.0.0.1", "port": self.port, "user": USER,
                "password": PASSWORD}


@contextlib.contextmanager
def _in_memory() -> Iterator[Path]:
    """A private directory, in memory where that can be: Kea's scripts write to the disk hundreds of times."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    directory = Path(tempfile.mkdtemp(prefix="d2.", dir=place))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def _certificate(directory: Path) -> tuple[Certificate, Path]:
    """Make a certificate of the server; return it with that of its authority."""
    authority = make_authority(directory)
    return make_certificate(directory, authority, "IP:127.0.0.1"), authority.cert


def _run(argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run([str(part) for part in argv], env={**os.environ, **(env or {})}, text=True,
                          capture_output=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, f"{argv}:\n{done.stdout}{done.stderr}"


def _make_tables(system: str, port: int, *extra: str, env: Mapping[str, str] | None = None) -> None:
    """Run Kea's own script for the tables of the chosen Kea."""
    root = kea.chosen().root
    scripts = (Path("/") if root is None else root) / _SCRIPTS
    _run([find_program("kea-admin", "kea-admin"), "db-init", system, "-h", "127.0.0.1", "-P", str(port),
          "-u", USER, "-p", PASSWORD, "-n", NAME, "-d", scripts, *extra], env)


@contextlib.contextmanager
def postgresql() -> Iterator[Database]:
    """Run PostgreSQL, which refuses to run as root."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert found, "PostgreSQL is not installed, and the tests need it: install the package postgresql"
    programs = found[-1]
    with PortLease() as lease, _in_memory() as directory:
        certificate, authority = _certificate(directory)
        certificate.key.chmod(0o600)
        as_user: list[str] = []
        if os.geteuid() == _ROOT:
            user = pwd.getpwnam("postgres")
            for path in (directory, certificate.key):
                os.chown(path, user.pw_uid, user.pw_gid)
            as_user = [find_program("setpriv", "util-linux"), f"--reuid={user.pw_uid}",
                       f"--regid={user.pw_gid}", "--clear-groups"]
        port = lease.take()
        _run([*as_user, programs / "initdb", "-D", directory / "data", "-U", "postgres", "--auth-local=trust",
              "--auth-host=scram-sha-256", "--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C"])
        argv = [*as_user, str(programs / "postgres"), "-D", str(directory / "data"), "-p", str(port), "-k",
                str(directory)]
        settings = {"listen_addresses": "127.0.0.1", "fsync": "off", "ssl": "on",
                    "ssl_cert_file": certificate.cert, "ssl_key_file": certificate.key}
        argv += (part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
        with Process(argv, directory, name="postgres") as process:
            process.wait_for_output("ready to accept connections")
            with psycopg.connect(host=str(directory), port=port, user="postgres", autocommit=True) as root:
                root.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
                root.execute(f"CREATE DATABASE {NAME} OWNER {USER}")
            _make_tables("pgsql", port)
            yield Database("pgsql", "postgresql", port, process, authority)
            process.stop(signal.SIGINT)  # at once; with SIGTERM it waits for its clients


@contextlib.contextmanager
def mariadb() -> Iterator[Database]:
    """Run MariaDB."""
    server = find_program("mariadbd", "mariadb-server")
    client = find_program("mariadb", "mariadb-client")
    user = f"--user={pwd.getpwuid(os.geteuid()).pw_name}"
    with PortLease() as lease, _in_memory() as directory:
        certificate, authority = _certificate(directory)
        data, port = directory / "data", lease.take()
        _run([find_program("mariadb-install-db", "mariadb-server"), "--no-defaults", f"--datadir={data}",
              user, "--auth-root-authentication-method=normal", "--skip-test-db"])
        argv = [server, "--no-defaults", f"--datadir={data}", user, f"--socket={directory}/socket",
                f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin",
                "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M",
                f"--ssl-cert={certificate.cert}", f"--ssl-key={certificate.key}"]
        with Process(argv, directory, name="mariadbd") as process:
            process.wait_for_output("ready for connections")
            with pymysql.connect(unix_socket=f"{directory}/socket", user="root") as root, \
                    root.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {NAME}")
                cursor.execute(f"CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
                cursor.execute(f"GRANT ALL ON {NAME}.* TO {USER}@'127.0.0.1'")
            # Kea's script calls it by its old name, and without the port.
            (directory / "mysql").symlink_to(client)
            path = os.pathsep.join([str(directory), os.environ.get("PATH", "")])
            _make_tables("mysql", port, "-x", f"--port={port} --protocol=tcp", env={"PATH": path})
            yield Database("mysql", "mysql", port, process, authority)
