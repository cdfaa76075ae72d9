"""Serves a live page of the studies of a journal: read-only and, by default, to this machine only.

The addresses are fixed. The only input from a request is the name of a study, which is looked up in the journal. A
request never opens a file or fetches anything.
"""

import ipaddress
import json
import logging
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from string import Template
from typing import Any

import attrs

from gpbt_adapters.showing.page import asset, contents
from gpbt_adapters.showing.sources import Follower
from gpbt_adapters.storing.journal import Journal
from gpbt_adapters.views import Importance, shares, weighed_of
from gpbt_core.errors import GpbtError
from gpbt_core.state import State

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send
except ImportError as error:
    raise ImportError(
        f'the dashboard needs {error.name}, which is not installed: pip install "gpbt[dashboard]"'
    ) from error

__all__ = ["application", "serve"]

logger = logging.getLogger(__name__)

_POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'"
)
"""Plotly styles its elements in place."""

_HEADERS = {
    "Content-Security-Policy": f"{_POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

HELD = 8
"""How many studies are held in memory: the most recently requested ones."""

_LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")


@attrs.frozen
class _Seen:
    """The data last sent for a study, as JSON."""

    known: str
    run: str


class _Mattering:
    """Computes in the background, whenever a generation has closed, which hyperparameters mattered."""

    def __init__(self) -> None:
        self.found: Mapping[int, Importance] = {}
        self._looked = 0  # the number of closed generations when it was last computed
        self._thread: threading.Thread | None = None

    def look(self, state: State) -> None:
        """Starts to process new generations; one call at a time."""
        if self._looked < len(state.closed) and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._find, args=(state,), name="gpbt-importance", daemon=True)
            self._thread.start()

    def _find(self, state: State) -> None:
        wanted = weighed_of(state)
        for generation in wanted:
            found = self.found.get(generation) or shares(state, generation)
            if found is not None:
                self.found = {**self.found, generation: found}
        self.found = {generation: self.found[generation] for generation in wanted if generation in self.found}
        self._looked = len(state.closed)


@attrs.frozen
class _Held:
    """A study on display: its reader, its lock, and the data last sent (at most one)."""

    follower: Follower
    mattering: _Mattering = attrs.field(factory=_Mattering)
    lock: Any = attrs.field(factory=threading.Lock)
    last: list[_Seen] = attrs.field(factory=list)


class _Studies:
    """Answers the requests of the page; thread-safe."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def answer(self, study: str | None, known: str) -> str:
        """The studies, the one that is shown, and, if it has changed since `known`, all that is to be drawn.

        Raises:
            KeyError: There is no such study.
            GpbtError: It cannot be read.
        """
        names = self._journal.names()
        if study is not None and study not in names:
            raise KeyError(study)
        if study is None and names:
            study = names[-1]
        if study is None:
            return json.dumps({"studies": [], "study": None, "known": "", "run": None})
        try:
            seen = self._seen(study)
        except GpbtError:
            with self._lock:
                self._held.pop(study, None)  # it may have been deleted, and may be created again
            raise
        head = json.dumps({"studies": names, "study": study, "known": seen.known})
        return f'{head[:-1]}, "run": {seen.run if seen.known != known else "null"}}}'

    def _seen(self, study: str) -> _Seen:
        with self._lock:
            if study not in self._held:
                self._held[study] = _Held(Follower(self._journal, study))
            self._held.move_to_end(study)
            while len(self._held) > HELD:
                self._held.popitem(last=False)
            held = self._held[study]
        with held.lock:  # one page is made at a time, and shared by all waiting requests
            watched = held.follower.read()
            held.mattering.look(watched.state)
            found = held.mattering.found
            known = f"{watched.identity}/{watched.sequence}/{len(found)}"
            if not held.last or held.last[0].known != known:
                run = json.dumps(contents(watched.state, study, found), separators=(",", ":"), allow_nan=False)
                held.last[:] = [_Seen(known, run)]
            return held.last[0]


def application(journal: Journal, *, hosts: tuple[str, ...] = _LOCAL) -> Starlette:
    """The dashboard as an ASGI application.

    Args:
        journal: The journal to show; must stay open while the application is in use.
        hosts: The names under which browsers may ask for it, besides addresses. A page from elsewhere could otherwise
            ask under a name of its own that leads here.
    """
    studies = _Studies(journal)
    page = Template(asset("page.html")).substitute(
        policy=_POLICY,
        title="gpbt",
        head='<link rel="stylesheet" href="page.css">\n<link rel="icon" href="data:,">',
        body='<script src="plotly.js"></script>\n<script src="page.js"></script>',
    )
    fixed = {
        "/": (page, "text/html"),
        "/page.css": (asset("page.css"), "text/css"),
        "/page.js": (asset("page.js"), "text/javascript"),
        "/plotly.js": (asset("plotly-basic.min.js"), "text/javascript"),
    }

    def run(request: Request) -> Response:
        try:
            answer = studies.answer(request.query_params.get("study"), request.query_params.get("known", ""))
        except KeyError:
            return _failed(404, "there is no such study in this journal")
        except GpbtError as error:  # the message may contain paths, which the browser must not see
            logger.warning("a study cannot be shown: %s", error)
            return _failed(503, f"the study cannot be read ({type(error).__name__}); the dashboard's terminal says why")
        return _response(answer, "application/json")

    routes = [Route(path, _fixed(*content), methods=["GET"]) for path, content in fixed.items()]
    return Starlette(
        routes=[*routes, Route("/api/run", run, methods=["GET"])],
        middleware=[
            Middleware(_KnownHosts, hosts=hosts),
            Middleware(GZipMiddleware, minimum_size=2000, compresslevel=3),
        ],
    )


def serve(
    journal: Journal,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    names: Sequence[str] = (),
    announce: Callable[[str], object] = print,
) -> None:
    """Serves the dashboard until it is interrupted.

    Args:
        journal: The journal to show.
        host: The address to listen on; by default, only this machine can connect, as there is no password.
        port: The port; 0: any free port.
        names: Further names of this machine under which browsers may ask; its host name and addresses always may.
        announce: Called with the address once the server listens.

    Raises:
        OSError: The port is taken, or the host does not belong to this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            wanted = f"dashboard: cannot listen on {host}, port {port}"
            raise OSError(error.errno, f"{wanted}: {error.strerror}; choose another host or port") from error
        listener.listen(128)
        name = f"[{host}]" if family == socket.AF_INET6 else host
        hosts = (*_LOCAL, host, socket.gethostname(), socket.getfqdn(), *names)
        server = uvicorn.Server(uvicorn.Config(application(journal, hosts=hosts), log_level="warning", lifespan="off"))
        announce(f"http://{name}:{listener.getsockname()[1]}/")
        server.run(sockets=[listener])


def _fixed(text: str, kind: str) -> Callable[[Request], Response]:
    data = text.encode()

    def answer(_: Request) -> Response:
        return _response(data, kind)

    return answer


def _response(content: str | bytes, kind: str, status: int = 200, headers: Mapping[str, Any] = _HEADERS) -> Response:
    return Response(content, status, {**headers, "Cache-Control": "no-store"}, f"{kind}; charset=utf-8")


def _failed(status: int, why: str) -> Response:
    return _response(json.dumps({"error": why}), "application/json", status)


class _KnownHosts:
    """Answers what was asked under an address or a known name.

    A page of somebody else can let a name of its own lead to this machine, but not an address.
    """

    def __init__(self, app: "ASGIApp", hosts: Sequence[str]) -> None:
        self._app, self._hosts = app, {host.lower() for host in hosts}

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "http" and not self._knows(_host_of(scope)):
            refusal = PlainTextResponse("the dashboard does not know this host name; start it with --name", 400)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, host: str) -> bool:
        return host in self._hosts or _is_address(host)


def _host_of(scope: "Scope") -> str:
    """The host that a request names, in lower case and without its port and brackets."""
    given = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
    if given.startswith("["):
        return given[1:].partition("]")[0]
    return given.rpartition(":")[0] if given.count(":") == 1 else given


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
