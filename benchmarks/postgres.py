"""A PostgreSQL server for tests and benchmarks: in a directory of its own, on a Unix socket, removed afterwards.

If it is not installed, it is installed where that is possible: on Debian and its derivatives, as root.
"""

import contextlib
import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["NoServerError", "Server", "postgres_server"]


class NoServerError(Exception):
    """There is no PostgreSQL here, and it cannot be installed."""


class Server:
    """A running server.

    Args:
        folder: A directory for its data, with a short path.

    Attributes:
        url: The URL of its database.

    Raises:
        NoServerError: It cannot be started.
    """

    def __init__(self, folder: Path) -> None:
        self.url = f"postgresql://gpbt@/postgres?host={folder}"
        self._folder, self._data, self._programs, self._user = folder, folder / "data", _programs(), _unprivileged()
        if self._user is not None:
            shutil.chown(folder, self._user)
        self._run("initdb", "-U", "gpbt", "-A", "trust", "-E", "UTF8", "-N")
        self.start()

    def start(self) -> None:
        """Starts it and waits until it answers.

        Raises:
            NoServerError: It does not start.
        """
        options = f"-c listen_addresses='' -c unix_socket_directories='{self._folder}' -c fsync=off"
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def crash(self) -> None:
        """Ends it without a checkpoint, as a crash would; it recovers from its log when it starts again.

        Raises:
            NoServerError: It does not stop.
        """
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - programs of the server
            [str(self._programs / program), "-D", str(self._data), *arguments],
            user=self._user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
        )
        if done.returncode:
            raise NoServerError(f"{program} failed: {done.stderr.decode(errors='replace').strip()}")


@contextlib.contextmanager
def postgres_server() -> Iterator[Server]:
    """Starts a server, and removes it at the end of the block.

    Raises:
        NoServerError: There is none to start.
    """
    folder = Path(tempfile.mkdtemp(prefix="gpbt-postgres-", dir="/tmp"))  # a socket's path must be short
    try:
        server = Server(folder)
        try:
            yield server
        finally:
            server.crash()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """The directory of initdb and pg_ctl."""
    with (Path(tempfile.gettempdir()) / "gpbt-postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process installs, the others wait
        return _found()


def _found() -> Path:
    found = _installed()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "-y", "--no-install-recommends", "postgresql"]
        subprocess.run(command, env=environment, capture_output=True, check=False, timeout=300)  # noqa: S603 - fixed
        found = _installed()
    if found is None:
        raise NoServerError("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    return found


def _installed() -> Path | None:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("pg_ctl")
    if on_path:
        places.insert(0, Path(on_path).resolve().parent)
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


def _unprivileged() -> str | None:
    """The user to run the server as; None: the current one. It refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NoServerError("PostgreSQL's server does not run as root, and there is no user postgres or nobody")
