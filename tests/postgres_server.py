"""A real PostgreSQL server for tests: in a directory of its own, on a Unix socket and no network, gone afterwards.

Where there is no server, root installs one on Debian and what derives from it, from the distribution.
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

__all__ = ["NoServerError", "postgres_server"]


class NoServerError(Exception):
    """PostgreSQL is neither installed here nor can it be."""


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """Starts a server; yields the URL of its database.

    Raises:
        NoServerError: There is none to start.
    """
    with (Path(tempfile.gettempdir()) / "gpbt-postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one test process installs, the others wait
        programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="gpbt-postgres-", dir="/tmp"))  # a socket's path must be short
    user = _unprivileged()
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        _run([str(programs / "initdb"), "-D", str(data), "-U", "gpbt", "-A", "trust", "-E", "UTF8", "-N"], user)
        control, log = str(programs / "pg_ctl"), str(folder / "log")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        _run([control, "-D", str(data), "-w", "-l", log, "-o", options, "start"], user)
        try:
            yield f"postgresql://gpbt@/postgres?host={folder}"
        finally:
            _run([control, "-D", str(data), "-w", "-m", "immediate", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Where initdb and pg_ctl are."""
    found = _installed()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "-y", "--no-install-recommends", "postgresql"]
        subprocess.run(command, env=environment, capture_output=True, check=False, timeout=300)
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
    """Whom to run the server as; None: ourselves. It refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NoServerError("PostgreSQL's server does not run as root, and there is no user postgres or nobody")


def _run(command: list[str], user: str | None) -> None:
    done = subprocess.run(
        command, user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, timeout=120
    )
    if done.returncode:
        raise NoServerError(f"{command[0]} failed: {done.stderr.decode(errors='replace').strip()}")
