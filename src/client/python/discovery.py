"""A client of the discovery service in one file: copy it into your project, or ``pip install`` the
folder that it is in.

It needs Python 3.9 or later and nothing but the standard library.

    import discovery

    with discovery.hold("hive", "-", 65433):        # registered as long as this block runs
        print(discovery.query("hive"))              # [Address(ip='127.0.0.1', port=65433)]

    for services in discovery.watch("hive"):        # at once, and again at each change
        print(services)

``AsyncClient`` does the same for ``asyncio``. The address of the service comes from
``DISCOVERY_SERVER`` (``host:port``; separate several with commas) and the token from the file that
``DISCOVERY_TOKEN_FILE`` names; ``Client`` also takes both as arguments. A request that the service
refuses or does not answer raises ``Error``; an argument that cannot be sent raises ``ValueError``.
What goes wrong in the background is logged by the logger ``discovery``.

With several servers, who writes is registered at the first that answers. Who reads asks in the same
order, and believes that there is nothing only when every server that answers has said so. They may be
registries that know nothing of each other, or the nodes of one cluster.

Threads may share a client. After a fork the child has a client of its own: it opens its own
connections, and neither keeps nor ends what its parent holds.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import logging
import operator
import os
import random
import re
import selectors
import socket
import threading
import time
import weakref
from collections import Counter, deque
from contextlib import asynccontextmanager, contextmanager
from typing import (
    TYPE_CHECKING, Any, AsyncIterator, Awaitable, Callable, Deque, Dict, Iterable, Iterator, List, Mapping,
    NamedTuple, Optional, Sequence, Tuple, TypeVar, Union,
)

if TYPE_CHECKING:
    import asyncio

    # Type checkers bring it along; at run time nothing needs it.
    from typing_extensions import Concatenate, ParamSpec

    P = ParamSpec("P")

__all__ = [
    "Address", "AsyncClient", "Away", "Broken", "Client", "Denied", "Error", "Hold", "Refused",
    "Service", "Watcher", "deregister", "heartbeat", "hold", "query", "register", "revive", "update",
    "watch",
]

T = TypeVar("T")
#: An address as text (``-`` for the one that the connection comes from), or as the standard library has it.
Ip = Union[str, ipaddress.IPv4Address, ipaddress.IPv6Address]
#: One server as host and port.
Server = Tuple[str, int]

DEFAULT_SERVER = "127.0.0.1:65432"
#: Seconds that an answer may take, connecting included; the system decides how long it resolves a host name.
TIMEOUT = 5.0
#: Seconds of silence after which a watching connection counts as dead: it sends a keepalive after 15.
SILENCE_MAX = 25.0
#: Seconds for which a watch keeps what the snapshot after a reconnect lacks.
GRACE = 5.0
#: Seconds before the first and before the last retry to connect; the delay doubles from one to the other.
BACKOFF = (0.1, 5.0)
#: Seconds for which a watch waits for one server to accept while it is connected to another.
CONNECT_BESIDE_MAX = 0.5
#: Seconds for which the end of a ``hold`` waits for the service.
STOP_MAX = 2.0
#: Seconds for which a ``hold`` at a later server tries the earlier ones.
ASIDE_MAX = 1.0
#: Seconds for which a ``hold`` waits for what a node says of a registration that has left it: it asks again.
LEAVING_MAX = 0.1
#: How a node of a cluster begins to refuse while it does not know yet what is registered.
NOT_READY = "not ready"
#: Seconds of the service's own TTL, unless it tells another.
TTL = 30.0
#: Bytes of the longest line that the client reads.
ANSWER_LEN_MAX = 64 * 1024 * 1024
#: Characters of the longest JSON object in an answer.
OBJECT_LEN_MAX = 64 * 1024
#: Seconds for which a watch reads changes that have already arrived before it yields.
CATCH_UP_MAX = 0.1
#: Seconds of the shortest time limit: with 0 a socket would not wait at all.
SHORTEST = 0.001
#: Seconds of the longest time limit.
YEAR = 31_536_000.0

_log = logging.getLogger("discovery")
_NEVER = float("inf")
# Without the limit on file descriptors that `select` has, where the system offers it.
_Selector: Any = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Error(Exception):
    """A request failed: the base class of all errors of this module."""


class Away(Error):
    """The service cannot be reached, did not answer in time, or closed the connection."""


class Broken(Away):
    """The connection ended before the answer."""


class Refused(Error):
    """The service refused the request; the message is its reason."""


class Denied(Refused):
    """The service refused the token, or wants one. A token file is read again for each connection."""


class Address(NamedTuple):
    """Where a service can be reached; a plain tuple for ``socket.create_connection``."""

    ip: str
    port: int


class _Place(NamedTuple):
    type: str
    ip: str
    port: int


class Service(_Place):
    """A live service. As a tuple, and in comparisons, it is its type, ip and port."""

    #: Its public name: 16 hexadecimal digits; empty if the service tells none.
    id: str
    tags: Tuple[str, ...]
    meta: Dict[str, str]
    #: Whether a registry says at present that it is live; ``False`` in the grace time after a reconnect.
    confirmed: bool
    #: Why it was removed, for services in ``Watcher.down``; empty if that is not known.
    reason: str

    def __new__(
        cls, type: str, ip: str, port: int, id: str = "", tags: Sequence[str] = (),
        meta: Optional[Mapping[str, str]] = None, confirmed: bool = True, reason: str = "",
    ) -> Service:
        self = super().__new__(cls, type, ip, port)
        self.id, self.tags, self.meta = id, tuple(tags), dict(meta or {})
        self.confirmed, self.reason = confirmed, reason
        return self

    def __repr__(self) -> str:
        told = {name: value for name, value in vars(self).items() if value != _USUAL.get(name)}
        return super().__repr__()[:-1] + "".join(f", {k}={v!r}" for k, v in told.items()) + ")"

    def _but(self, **changed: Any) -> Service:
        return Service(*self, **{**vars(self), **changed})


_USUAL: Dict[str, object] = {"id": "", "tags": (), "meta": {}, "confirmed": True, "reason": ""}

#: What a forked child must not use: its parent's connections, and its locks as they were.
_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_shared: weakref.WeakSet[_Shared] = weakref.WeakSet()


class _Shared:
    """What threads share, and what begins anew in a forked child."""

    def __init__(self) -> None:
        _shared.add(self)

    def _after_fork(self) -> None:
        raise NotImplementedError


def _after_fork_in_child() -> None:
    # Closed, not shut down: to the parent nothing happens.
    for inherited in list(_sockets):
        inherited.close()
    for one in list(_shared):
        one._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class Connection:
    """One connection that speaks text lines. Every call takes a time limit in seconds."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._unread = bytearray()
        self._searched = 0
        self._socket = _connect(host, port, time.monotonic() + timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        """For ``select``: readable when a line arrives or the service closes the connection."""
        return self._socket.fileno()

    def is_open(self) -> bool:
        """Whether the connection is usable: not closed, and without an answer that nobody asked for."""
        try:
            self._socket.settimeout(0)
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return not self._unread
        except OSError:
            pass
        return False

    def send(self, data: bytes, timeout: float) -> None:
        """Sends bytes as they are."""
        try:
            self._socket.settimeout(max(timeout, SHORTEST))
            self._socket.sendall(data)
        except OSError as error:
            raise _gone(error) from error

    def end_input(self) -> None:
        """Shuts the write side: no further command follows, but answers still arrive."""
        self._socket.shutdown(socket.SHUT_WR)

    def line(self, timeout: float) -> str:
        """Returns the next line without its line end."""
        deadline = time.monotonic() + timeout
        while not self.has_line():
            left = deadline - time.monotonic()
            if left <= 0:
                raise Away("the registry did not answer in time")
            self._receive(max(left, SHORTEST))
        end = self._searched
        # Without a copy of the bytes: an answer may be long.
        with memoryview(self._unread) as view:
            line = str(view[:end], errors="replace")
        del self._unread[: end + 1]
        self._searched = 0
        return line

    def has_line(self) -> bool:
        """Whether a complete line has already arrived."""
        end = self._unread.find(b"\n", self._searched)
        self._searched = len(self._unread) if end < 0 else end
        if end < 0 and self._searched > ANSWER_LEN_MAX:
            raise Error("this is not the registry: its answer does not end")
        return end >= 0

    def catch_up(self) -> bool:
        """Reads what has arrived without waiting; returns whether a complete line is there."""
        while not self.has_line():
            if not self._receive(0):
                return False
        return True

    def _receive(self, timeout: float) -> bool:
        """Reads what has arrived, or what arrives first; returns whether that is anything."""
        try:
            self._socket.settimeout(timeout)
            data = self._socket.recv(65536)
        except (BlockingIOError, socket.timeout):
            return False
        except OSError as error:
            raise _gone(error) from error
        if not data:
            raise Broken("the registry closed the connection")
        self._unread += data
        return True

    def wait(self, timeout: float) -> None:
        """Waits until something arrives, the connection ends, or the time is over. Another thread may
        use the connection meanwhile."""
        try:
            with _Selector() as selector:
                selector.register(self, selectors.EVENT_READ)
                selector.select(timeout)
        # The other thread has closed it.
        except (OSError, ValueError):
            pass

    def drain(self, timeout: float) -> None:
        """Reads and drops what arrives until the service closes its side."""
        deadline = time.monotonic() + timeout
        try:
            while time.monotonic() < deadline:
                self._receive(max(deadline - time.monotonic(), SHORTEST))
                self._unread.clear()
        except Error:
            pass

    def ask(self, command: str, timeout: float) -> str:
        """Sends a command and returns its answer; raises ``Refused`` for ``ERROR``."""
        deadline = time.monotonic() + timeout
        self.send(command.encode() + b"\n", timeout)
        return _accepted(self.line(deadline - time.monotonic()))

    def close(self) -> None:
        """Ends the connection, also when a child process has inherited it without our knowledge."""
        try:
            # In a forked child the socket is closed already, so this never ends what the parent has.
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()


class _Turns:
    """A lock that threads get in the order in which they ask for it, so that none starves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: Who has it, and who waits for it.
        self._queue: Deque[threading.Event] = deque()

    def acquire(self, timeout: float) -> bool:
        """Waits for its turn, no longer than so many seconds; returns whether it came."""
        turn = threading.Event()
        with self._lock:
            self._queue.append(turn)
            if len(self._queue) == 1:
                turn.set()
        try:
            if turn.wait(timeout):
                return True
        except BaseException:
            self._leave(turn)
            raise
        self._leave(turn)
        return False

    def release(self) -> None:
        """Gives it to the next."""
        self._leave(self._queue[0])

    def _leave(self, turn: threading.Event) -> None:
        with self._lock:
            self._queue.remove(turn)
            if self._queue:
                self._queue[0].set()


class _Link:
    """A client's connection to one of its servers: opened when it is needed, and again when it failed."""

    def __init__(self, client: Client, server: Server) -> None:
        self._client = client
        self._server = server
        self._connection: Optional[Connection] = None
        self._is_new = False
        self._failed_at = -YEAR

    def has_failed(self) -> bool:
        """Whether it has failed just now, so that others should be asked first."""
        return time.monotonic() - self._failed_at < BACKOFF[1]

    def open(self, deadline: float) -> None:
        """Connects, unless the connection is still good."""
        if self._connection is not None and not self._connection.is_open():
            self.close()
        self._is_new = self._connection is None
        if self._connection is None:
            try:
                self._connection = self._client._greet(self._server, deadline)
            except Error:
                self._failed_at = time.monotonic()
                raise

    def ask(self, command: str, parse: Callable[[str], T], deadline: float, again: bool) -> T:
        """Sends a command over the open connection. If an old one turns out to be broken, sends the
        command ``again`` over a new one; if it has lost its admission, in any case."""
        try:
            return self._ask_once(command, parse, deadline)
        except (Broken, Denied) as error:
            if self._is_new or not (again or isinstance(error, Denied)):
                raise
        self.open(deadline)
        return self._ask_once(command, parse, deadline)

    def _ask_once(self, command: str, parse: Callable[[str], T], deadline: float) -> T:
        assert self._connection is not None
        try:
            return parse(self._connection.ask(command, deadline - time.monotonic()))
        except Refused as error:
            if isinstance(error, Denied):
                self.close()
            raise
        # After any other failure, KeyboardInterrupt included, the late answer could arrive and be taken
        # for the answer to the next command.
        except BaseException:
            self._failed_at = time.monotonic()
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection; the next command opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Client(_Shared):
    """Talks to the service, over one connection to each server. The client connects when it first
    needs to, and again after a connection has failed.

    ``server`` is ``host:port``, several of them with commas, or a list. ``token`` is the token itself;
    else the file ``token_file`` is read for each connection. ``timeout`` is the limit for each request,
    in seconds. Threads may share a client: their requests wait for each other.
    """

    def __init__(
        self, server: Union[None, str, Sequence[str]] = None, token: Optional[str] = None,
        timeout: float = TIMEOUT, token_file: Optional[str] = None,
    ) -> None:
        super().__init__()
        self._servers = _parse_servers(server or os.environ.get("DISCOVERY_SERVER") or DEFAULT_SERVER)
        self._given_token = token
        self._token_file = token_file or os.environ.get("DISCOVERY_TOKEN_FILE") or None
        if token is not None and not _is_word(token):
            raise ValueError("the token is empty or contains white space")
        if token is None and self._token_file is not None:
            _token_in(self._token_file)
        if not 0 < timeout <= YEAR:
            raise ValueError(f"{timeout!r} is not a time limit in seconds")
        self._timeout = timeout
        self._links = [_Link(self, server) for server in self._servers]
        self._turns = _Turns()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _after_fork(self) -> None:
        self._turns = _Turns()

    @contextmanager
    def _turn(self, deadline: float) -> Iterator[None]:
        """The connections are for one thread at a time."""
        turns = self._turns
        left = min(max(deadline - time.monotonic(), 0), threading.TIMEOUT_MAX)
        if not turns.acquire(left):
            raise Away("the client did not come to this request in time: other threads use it")
        try:
            yield
        finally:
            turns.release()

    def close(self) -> None:
        """Closes the connections; the next command opens new ones."""
        with self._turn(time.monotonic() + YEAR):
            for link in self._links:
                link.close()

    def connect(self, timeout: Optional[float] = None) -> Connection:
        """Opens a separate connection, which the caller must close, to the first server that answers.
        All servers together share the time limit."""
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        failures: List[Error] = []
        for share, server in _shares(self._servers, deadline):
            try:
                return self._greet(server, share())
            except Error as error:
                failures.append(error)
        raise self._failure(failures)

    def _greet(self, server: Server, deadline: float) -> Connection:
        """Connects to a server and shows the token."""
        token = self._token()
        connection = Connection(*server, deadline - time.monotonic())
        try:
            if token is not None:
                _exactly("OK", connection.ask("auth " + token, deadline - time.monotonic()))
            elif len(self._servers) > 1:
                # A server that is stopped or full accepts connections too; another may answer.
                _exactly("PONG", connection.ask("ping", deadline - time.monotonic()))
        except BaseException:
            connection.close()
            raise
        return connection

    def _token(self) -> Optional[str]:
        """The token at present."""
        if self._given_token is not None or self._token_file is None:
            return self._given_token
        try:
            return _token_in(self._token_file)
        except (OSError, ValueError) as error:
            raise Denied(f"no token can be read: {error}") from error

    def _can_pass(self, error: Error) -> bool:
        """Whether a retry can help: the service may come back or have room again, and a token file may
        get a new token, but any other refusal is final."""
        if isinstance(error, Denied):
            return self._given_token is None and self._token_file is not None
        if not isinstance(error, Refused):
            return isinstance(error, Away)
        return str(error) in ("registry full", "too many connections") or str(error).startswith(NOT_READY)

    def _failure(self, failures: Sequence[Error]) -> Error:
        """What to raise when each server has failed."""
        # If no retry can help, the last failure is the reason.
        if len(failures) == 1 or not any(map(self._can_pass, failures)):
            return failures[-1]
        return Away("; ".join(map(str, failures)))

    def ask(self, command: str, again: bool = True) -> str:
        """Sends a command to the first server that answers, and returns its answer. With ``again`` the
        client sends it once more when an open connection turns out to be broken, and to the next server
        when one fails."""
        return self._request(command, str, again=again)

    def _request(
        self, command: str, parse: Callable[[str], T], is_none: Optional[Callable[[T], bool]] = None,
        again: bool = True,
    ) -> T:
        """Sends a command to one server after the other until one answers, and with more than nothing
        if ``is_none`` says what nothing is."""
        deadline = time.monotonic() + self._timeout
        nothing: List[T] = []
        failures: List[Error] = []
        with self._turn(deadline):
            for share, link in _shares(sorted(self._links, key=_Link.has_failed), deadline):
                if not again and len(self._links) > 1:
                    # The greeting of a new connection shows first whether this server answers.
                    link.close()
                try:
                    link.open(share())
                except Error as error:
                    failures.append(error)
                    continue
                try:
                    answer = link.ask(command, parse, share(), again)
                except Error as error:
                    # What was refused has not been run.
                    if not (self._can_pass(error) if isinstance(error, Refused) else again):
                        raise
                    failures.append(error)
                    continue
                if is_none is None or not is_none(answer):
                    return answer
                nothing.append(answer)
        if nothing:
            return nothing[0]
        raise self._failure(failures)

    def register(
        self, type: str, ip: Ip, port: int, ttl: Optional[int] = None, replace: bool = False,
        tags: Iterable[str] = (), meta: Optional[Mapping[str, str]] = None,
    ) -> str:
        """Registers a service and returns the UUID. ``ip`` may be ``-`` for the address that this
        connection comes from. ``replace`` removes all other registrations of this type at this address.
        The client never sends this command twice; if the connection fails before the answer, the
        registration may exist."""
        options = _options(ttl, replace) + _description(tags, meta)
        return self._request(f"register {_place(type, ip, port)}{options}", _uuid, again=False)

    def heartbeat(self, uuid: str) -> bool:
        """Keeps a registration alive; ``False`` if it is not known: register the service again. Where one of
        several servers does not answer, the next gets the heartbeat within the time limit, which should be a
        third of the TTL at most. A node of the same cluster takes the registration over under its UUID."""
        return self._request(f"heartbeat {_word(uuid)}", _found, operator.not_)

    def revive(
        self, uuid: str, type: str, ip: Ip, port: int, ttl: Optional[int] = None,
        tags: Iterable[str] = (), meta: Optional[Mapping[str, str]] = None,
    ) -> None:
        """Keeps a registration alive, or registers the service again under this UUID where it is not
        known: after a restart of the service, for example. For one that is known, the options change
        nothing. Raises ``Refused`` if the UUID is not of version 4, or another service has it."""
        options = _options(ttl, False) + _description(tags, meta)
        command = f"heartbeat {_word(uuid)} {_place(type, ip, port)}{options}"
        self._request(command, lambda answer: _exactly("OK", answer))

    def deregister(self, uuid: str) -> bool:
        """Removes a registration; ``False`` if it is not known. That is also the answer if the connection
        failed after the removal and the client sent the command again."""
        return self._request(f"deregister {_word(uuid)}", _found, operator.not_)

    def update(
        self, uuid: str, tags: Iterable[str] = (), meta: Optional[Mapping[str, str]] = None
    ) -> bool:
        """Replaces all tags and metadata of a registration; ``False`` if it is not known."""
        return self._request(
            f"update {_word(uuid)}{_description(tags, meta)}", _found, operator.not_
        )

    def query(
        self, type: str, max_age: Optional[int] = None, tags: Iterable[str] = (),
        meta: Optional[Mapping[str, str]] = None, limit: Optional[int] = None,
    ) -> List[Address]:
        """Returns the addresses of all live services of a type, oldest registration first: only those
        with all these tags and metadata, and of these at most ``limit``, drawn at random."""
        command = f"query {_word(type)}"
        command += "" if max_age is None else f" max-age={operator.index(max_age)}"
        command += _description(tags, meta)
        command += "" if limit is None else f" limit={operator.index(limit)}"
        rows = self._request(command, lambda answer: _rows(answer, ip=str, port=int), operator.not_)
        return [Address(one["ip"], one["port"]) for one in rows]

    def types(self) -> Dict[str, int]:
        """Returns the types, each with the number of its registrations."""
        rows = self._request(
            "types", lambda answer: _rows(answer, type=str, count=int), operator.not_
        )
        return {one["type"]: one["count"] for one in rows}

    def list(self, type: Optional[str] = None) -> List[Dict[str, Any]]:
        """Returns everything but the UUID of each registration of a type, or of all."""
        command = "list" if type is None else f"list {_word(type)}"
        return self._request(
            command, lambda answer: _rows(answer, type=str, ip=str, port=int), operator.not_
        )

    def why(self, uuid: str) -> Optional[Dict[str, Any]]:
        """Returns whether a registration is live, or why it was removed; ``None`` if the service does not
        know the UUID."""
        return self._request(f"why {_word(uuid)}", _document_or_none, operator.not_)

    def stats(self) -> Dict[str, Any]:
        """Returns the counters of the service."""
        return self._request("stats", _object)

    def ping(self) -> None:
        """Raises an ``Error`` if the service does not answer."""
        self._request("ping", lambda answer: _exactly("PONG", answer))

    def watch(
        self, type: Optional[str] = None, timeout: Optional[float] = None, grace: float = GRACE
    ) -> Watcher:
        """Returns an iterator over the lists of live services of a type, or of all types: the list at
        once, and again after each change. ``Watcher`` says more."""
        return Watcher(self, type, timeout, grace)

    def hold(
        self, type: str, ip: Ip, port: int, ttl: Optional[int] = None, replace: bool = False,
        tags: Iterable[str] = (), meta: Optional[Mapping[str, str]] = None,
    ) -> Hold:
        """Registers a service until the end of the ``with`` block that the result is used in, or until
        its ``close``. ``Hold`` says more; the arguments are those of ``register``. Raises an ``Error`` if
        that is impossible now."""
        return Hold(self, _Wanted(_word(type), _place(type, ip, port), _options(ttl, replace)), tags, meta)


def _shares(of: Sequence[T], deadline: float) -> Iterator[Tuple[Callable[[], float], T]]:
    """Pairs each element with a function that returns its deadline: an equal share of what is left."""
    for i, one in enumerate(of):
        count = len(of) - i

        def _share(count: int = count) -> float:
            now = time.monotonic()
            return now + (deadline - now) / count

        yield _share, one


class _Backoff:
    """The delays between attempts to connect."""

    def __init__(self) -> None:
        self._delay = BACKOFF[0]

    def next(self, lasted: float) -> float:
        """The delay after a connection that has ``lasted`` so long: random, so that the clients of a
        registry that restarts do not all come at once."""
        delay = BACKOFF[0] if lasted > BACKOFF[1] else self._delay
        self._delay = min(2 * delay, BACKOFF[1])
        return delay * random.uniform(0.5, 1.0)


class _Wanted(NamedTuple):
    """What a ``Hold`` keeps registered."""

    type: str
    place: str
    options: str


class _Lease:
    """The registration of a ``Hold`` at one server: it lives as long as its connection."""

    def __init__(self, connection: Connection, server: int, wanted: _Wanted) -> None:
        self.connection = connection
        self.server = server
        self.began_at = time.monotonic()
        self.uuid = ""
        #: Whether somebody has replaced the registration and is still there.
        self.is_replaced = False
        #: Whether it has taken the place of one at another node of a cluster.
        self.has_taken_place = False
        #: Seconds between two proofs of the registration.
        self.interval = TTL / 3
        self._wanted = wanted
        self._address: Optional[Tuple[object, object]] = None

    def take(self, description: str, deadline: float) -> None:
        """Registers in place of the ``uuid`` of an earlier connection, which the service may not have
        removed yet; but not beside somebody who has replaced it."""
        earlier = self.uuid
        if earlier:
            document = self._why(earlier, deadline)
            self.is_replaced |= document.get("reason") == "replaced"
            earlier = earlier if document.get("state") == "live" else ""
        if self.is_replaced and self._address is not None:
            others = _rows(self._ask(f"query {self._wanted.type}", deadline), ip=str, port=int)
            if self._address in [(one["ip"], one["port"]) for one in others]:
                return
        _, place, options = self._wanted
        try:
            self.uuid = _uuid(self._ask(f"hold {place}{options}{description}", deadline))
        except Refused:
            # It may be what there is no room for.
            self._remove(earlier, deadline)
            raise
        # Not before: the new one may have taken its place, of which watchers are told nothing.
        self._remove(earlier, deadline)
        self.is_replaced = False
        document = self._why(self.uuid, deadline)
        self._address = document.get("ip"), document.get("port")
        ttl = document.get("ttl_ms")
        self.interval = (ttl / 1000 if isinstance(ttl, int) and ttl > 0 else TTL) / 3

    def knows(self, uuid: str, deadline: float) -> bool:
        """Whether the server knows this registration as live. A heartbeat would take it over."""
        return self._why(uuid, deadline).get("state") == "live"

    def has_left(self) -> bool:
        """Whether the server knows that the registration has left it, or its connection has ended."""
        try:
            return not _found(self._ask(f"heartbeat {self.uuid}", time.monotonic() + LEAVING_MAX))
        except Error as error:
            # It may be silent still.
            return isinstance(error, Broken) or not isinstance(error, Away)

    def _ask(self, command: str, deadline: float) -> str:
        return self.connection.ask(command, deadline - time.monotonic())

    def _why(self, uuid: str, deadline: float) -> Dict[str, Any]:
        return _document_or_none(self._ask(f"why {uuid}", deadline)) or {}

    def _remove(self, uuid: str, deadline: float) -> None:
        if uuid:
            _found(self._ask(f"deregister {uuid}", deadline))

    def follow(self, earlier: _Lease) -> None:
        """Takes over what is known from the lease of an earlier connection to the same server."""
        self.uuid, self._address = earlier.uuid, earlier._address
        self.is_replaced, self.interval = earlier.is_replaced, earlier.interval

    def prove(self, description: str, deadline: float) -> None:
        """Proves that the service is registered, or registers it again."""
        if not self.connection.is_open():
            raise Broken("the registry closed the connection")
        if not self.is_replaced:
            if _found(self._ask(f"heartbeat {self.uuid}", deadline)):
                return
        self.take(description, deadline)


class _Flight:
    """A move away from a server that has failed."""

    def __init__(self, left: _Lease, is_silent: bool, limit: float) -> None:
        #: Its connection stays open until the service is registered again: to a node that is only slow, its
        #: end would be the end of the service.
        self.left = left
        #: Whether the server is tried last. One that has closed the connection is not: it is back soon, or
        #: refuses the next one.
        self.is_silent = is_silent
        #: Seconds that the next attempt may take.
        self.limit = limit


#: What a ``Hold`` logs.
_REGISTERED = "registered again"
_REPLACED = "another registration has replaced this one, which waits until that is gone"
_LOST = "not registered, trying again: %s"
_REFUSED = "refused, trying again: %s"


class Hold(_Shared):
    """Keeps a service registered until it is closed; use it in a ``with`` block.

    The registration lives as long as a connection, so it ends the moment this process dies. A thread
    proves it by a heartbeat every third of its TTL, and registers the service again when it is gone:
    after a restart of the registry, for example. If somebody has replaced it, the thread says so in the
    log and waits until nobody else is registered at this address.

    With several servers, the service is registered at the first that answers. One that leaves a heartbeat
    unanswered for a third of the TTL is given up, and the others are tried before it. While the service is
    at a later one, the thread tries the earlier ones, and moves back to them. Among the nodes of one cluster,
    watchers are told nothing of a move: the new registration takes the place of the old one.

    A forked child does not have the registration: there, ``close`` does nothing and ``check`` raises
    ``ValueError``.
    """

    def __init__(
        self, client: Client, wanted: _Wanted, tags: Iterable[str], meta: Optional[Mapping[str, str]]
    ) -> None:
        super().__init__()
        self._client = client
        self._wanted = wanted
        self._description = _description(tags, meta)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._lease: Optional[_Lease] = None
        #: The last lease at each server: its registration may outlive its connection.
        self._earlier: Dict[int, _Lease] = {}
        self._flight: Optional[_Flight] = None
        #: What was held at a node of a cluster before another node has taken its place. It does not end before
        #: that node knows, for which its end would be that of the service.
        self._leaving: Optional[_Lease] = None
        self._told = _REGISTERED
        self._register(time.monotonic() + client._timeout)
        self._thread = threading.Thread(target=self._keep, name="discovery-hold", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._drop()
            raise

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._over.set()
        self._lease = self._flight = self._leaving = None

    @property
    def uuid(self) -> str:
        """The UUID of the registration; empty while there is none."""
        lease = self._lease
        return "" if lease is None or lease.is_replaced else lease.uuid

    def check(self) -> bool:
        """Proves the registration now, and registers again if need be. Returns ``False`` if that is
        impossible now because the service is away or full, or somebody has replaced the registration.
        Raises ``Refused`` if the service refuses for another reason."""
        with self._lock:
            if self._over.is_set():
                raise ValueError("the registration is closed, or belongs to the parent process")
            deadline = time.monotonic() + self._client._timeout
            try:
                # If the proof is what fails, there is time for the registration.
                self._prove((deadline - time.monotonic()) / 2)
                if self._lease is None:
                    self._register(deadline)
            except Error as error:
                if not self._client._can_pass(error):
                    raise
            return bool(self.uuid)

    def update(self, tags: Iterable[str] = (), meta: Optional[Mapping[str, str]] = None) -> bool:
        """Replaces all tags and metadata, also for later registrations. Returns ``False`` if the service
        is not registered now. Raises ``Refused`` if the service refuses them."""
        description = _description(tags, meta)
        with self._lock:
            if self._over.is_set():
                raise ValueError("the registration is closed, or belongs to the parent process")
            lease, found = self._lease, False
            if lease is not None and not lease.is_replaced:
                command = f"update {lease.uuid}{description}"
                try:
                    found = _found(lease.connection.ask(command, self._client._timeout))
                except Refused:
                    raise
                # The thread registers again.
                except Error as error:
                    self._flee(error)
                except BaseException:
                    self._drop()
                    raise
            self._description = description
            return found

    def close(self) -> None:
        """Removes the registration: at once, also when children of this process have inherited its
        connection."""
        if self._over.is_set():
            return
        self._over.set()
        lease = self._lease
        try:
            if lease is not None:
                try:
                    lease.connection.end_input()
                except OSError:
                    pass
            self._thread.join(min(self._client._timeout, STOP_MAX))
        finally:
            if lease is not None:
                lease.connection.close()
            self._forget()

    def _keep(self) -> None:
        """What the thread does."""
        backoff, lasted = _Backoff(), 0.0
        while not self._over.is_set():
            lease = self._lease
            if lease is None:
                self._over.wait(backoff.next(lasted))
                lasted = 0.0
            else:
                wait = lease.interval
                lease.connection.wait(min(wait, BACKOFF[1]) if lease.is_replaced else wait)
            with self._lock:
                if self._over.is_set():
                    break
                timeout = self._client._timeout
                try:
                    if self._lease is None:
                        self._register(time.monotonic() + timeout)
                        continue
                    lease = self._lease
                    self._prove(timeout)
                    if self._lease is None:
                        lasted = time.monotonic() - lease.began_at
                    else:
                        self._leave()
                        self._go_home(time.monotonic() + min(timeout, ASIDE_MAX))
                except Error as error:
                    self._tell(_REFUSED if isinstance(error, Refused) else _LOST, error)
        lease = self._lease
        if lease is not None:
            # The service closes its side when it has removed the registration.
            lease.connection.drain(STOP_MAX)
            lease.connection.close()
        self._forget()

    def _register(self, deadline: float) -> None:
        """Registers at the first server that answers."""
        failures: List[Error] = []
        servers = list(range(len(self._client._servers)))
        flight, left = self._flight, None
        if flight is not None:
            left = flight.left
            if flight.is_silent:
                # The others stay in their order.
                servers.sort(key=left.server.__eq__)
            # The first attempt is to end within the TTL.
            deadline, flight.limit = min(deadline, time.monotonic() + flight.limit), YEAR
        for share, server in _shares(servers, deadline):
            try:
                lease = self._lease_at(server, share(), left)
            except Error as error:
                failures.append(error)
                continue
            self._flight = None
            self._settle(lease)
            if left is not None:
                self._part(left, lease)
            return
        raise self._client._failure(failures)

    def _lease_at(self, server: int, deadline: float, other: Optional[_Lease]) -> _Lease:
        """Registers at a server, while there may be another registration elsewhere."""
        connection = self._client._greet(self._client._servers[server], deadline)
        try:
            lease = _Lease(connection, server, self._wanted)
            earlier = self._earlier.get(server)
            if earlier is not None:
                lease.follow(earlier)
            uuid = "" if other is None or other.server == server else other.uuid
            was_known = uuid != "" and lease.knows(uuid, deadline)
            lease.take(self._description, deadline)
            lease.has_taken_place = was_known and not lease.knows(uuid, deadline)
            return lease
        except BaseException:
            connection.close()
            raise

    def _part(self, left: _Lease, lease: _Lease) -> None:
        """Ends a lease that another one has followed, or lets it wait until its server knows."""
        if not lease.has_taken_place:
            left.connection.close()
            return
        if self._leaving is not None:
            self._leaving.connection.close()
        self._leaving = left

    def _leave(self) -> None:
        """Ends the connection to the node that the registration has left, once that knows."""
        if self._leaving is not None and self._leaving.has_left():
            self._leaving.connection.close()
            self._leaving = None

    def _patience(self, lease: _Lease, timeout: float) -> float:
        """How long one step may take where the registration can move: a third of its TTL, for a third has
        passed before the heartbeat, and a third is left for the move when that is not answered."""
        return timeout if len(self._client._servers) == 1 else min(timeout, lease.interval)

    def _settle(self, lease: _Lease) -> None:
        """Keeps this lease."""
        self._lease = self._earlier[lease.server] = lease
        if self._over.is_set():
            # It was closed meanwhile.
            self._drop()
        self._tell(_REPLACED if lease.is_replaced else _REGISTERED)

    def _prove(self, timeout: float) -> None:
        """Proves the lease; gives it up if that fails."""
        lease = self._lease
        if lease is None:
            return
        try:
            lease.prove(self._description, time.monotonic() + self._patience(lease, timeout))
            self._tell(_REPLACED if lease.is_replaced else _REGISTERED)
        except Error as error:
            self._flee(error)
            if not self._over.is_set():
                self._tell(_REFUSED if isinstance(error, Refused) else _LOST, error)
        except BaseException:
            self._drop()
            raise

    def _go_home(self, deadline: float) -> None:
        """Moves from a later server to an earlier one, if one takes the service."""
        lease = self._lease
        assert lease is not None
        for share, server in _shares(range(lease.server), deadline):
            try:
                home = self._lease_at(server, share(), lease)
            except Error:
                continue
            if home.is_replaced:
                home.connection.close()
                continue
            self._settle(home)
            self._part(lease, home)
            return

    def _flee(self, error: Error) -> None:
        """Gives up a lease whose server has failed; the next one follows it."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        if lease.is_replaced:
            lease.connection.close()
            return
        is_silent = isinstance(error, Away) and not isinstance(error, Broken)
        self._flight = _Flight(lease, is_silent, self._patience(lease, self._client._timeout))

    def _drop(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.connection.close()

    def _forget(self) -> None:
        """Ends what others have followed, or were to follow."""
        flight, leaving = self._flight, self._leaving
        self._flight = self._leaving = None
        for left in (None if flight is None else flight.left, leaving):
            if left is not None:
                left.connection.close()

    def _tell(self, state: str, *detail: object) -> None:
        """Logs a state that is new."""
        if state != self._told:
            level = logging.INFO if state == _REGISTERED else logging.WARNING
            _log.log(level, "%s: " + state, self._wanted.place, *detail)
        self._told = state


#: The services that a registry tells of: by their ids, or else by their places, where several can be.
_Live = Dict[object, List[Service]]


class _Stream:
    """The watch at one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.connection: Optional[Connection] = None
        #: Whether the list is complete and up to date.
        self.is_current = False
        #: Why the last attempt failed, until the list is complete again.
        self.failure: Optional[Error] = None
        self.retry_at = 0.0
        #: When the connection counts as dead.
        self.dead_at = 0.0
        self.live: _Live = {}
        #: Why services were removed, for those that the last lines named.
        self.reasons: Dict[Service, str] = {}
        self._coming: Optional[_Live] = None
        self._is_admitted = True
        self._began_at = 0.0
        self._backoff = _Backoff()

    def was_asked(self) -> bool:
        """Whether it has answered or failed."""
        return self.is_current or self.failure is not None

    def open(self, client: Client, command: str, timeout: float) -> None:
        """Connects and sends the command, without waiting for answers."""
        token = client._token()
        self.connection = Connection(*self.server, timeout)
        self._began_at = time.monotonic()
        self._is_admitted = token is None
        greeting = "" if token is None else f"auth {token}\n"
        self.connection.send(f"{greeting}{command}\n".encode(), timeout)
        self.dead_at = time.monotonic() + client._timeout

    def read(self, end: float) -> bool:
        """Reads the lines that have arrived, no longer than until ``end``; returns whether any had."""
        has_read = False
        while self.connection is not None and time.monotonic() < end and self.connection.catch_up():
            has_read = True
            self._apply(_accepted(self.connection.line(0)))
            self.dead_at = time.monotonic() + SILENCE_MAX
        if self.connection is not None and not has_read and time.monotonic() >= self.dead_at:
            raise Away("the registry did not answer in time")
        return has_read

    def _apply(self, line: str) -> None:
        if not self._is_admitted:
            _exactly("OK", line)
            self._is_admitted = True
            return
        change = _change(line)
        if not isinstance(change.get("index"), int):
            raise _nonsense(line)
        if "services" in change:
            self._add_part(change, line)
            return
        live = self.live if self._coming is None else self._coming
        if self._coming is None and not self.is_current:
            raise _nonsense(line)
        for row in change.get("up", []):
            _add(live, _service(row))
        for row in change.get("down", []):
            service = _service(row)
            self.reasons[service] = service.reason
            _remove(live, service, line)

    def _add_part(self, change: Dict[str, Any], line: str) -> None:
        """Adds to the snapshot; it counts when it is complete."""
        if change.get("part", 1) == 1:
            self._coming = {}
        if self._coming is None:
            raise _nonsense(line)
        for row in change["services"]:
            _add(self._coming, _service(row))
        if not change.get("more"):
            self.live, self._coming = self._coming, None
            self.is_current, self.failure = True, None

    def fail(self, error: Error) -> None:
        """Notes that the connection has failed, or could not be opened."""
        self.failure = error
        now = time.monotonic()
        lasted = 0.0 if self.connection is None else now - self._began_at
        self.retry_at = now + self._backoff.next(lasted)

    def close(self) -> None:
        """Closes the connection and forgets what it told."""
        if self.connection is not None:
            self.connection.close()
        self.connection, self.is_current = None, False
        self.live, self._coming, self.reasons = {}, None, {}


def _add(live: _Live, service: Service) -> None:
    if service.id:
        live[service.id] = [service]
    else:
        live.setdefault(service, []).append(service)


def _remove(live: _Live, service: Service, line: str) -> None:
    if service.id:
        # A part of the snapshot that is still to come would have had it, perhaps.
        live.pop(service.id, None)
        return
    if service not in live:
        raise _nonsense(line)
    live[service].pop()
    if not live[service]:
        del live[service]


class _Bell:
    """Wakes a thread that waits for sockets."""

    def __init__(self) -> None:
        self._ear, self._button = socket.socketpair()
        self._button.setblocking(False)
        _sockets.update((self._ear, self._button))

    def fileno(self) -> int:
        """For ``select``: readable once it was rung."""
        return self._ear.fileno()

    def ring(self) -> None:
        """Wakes the thread, now and whenever it waits again."""
        try:
            self._button.send(b"!")
        except OSError:
            pass

    def close(self) -> None:
        """Closes its sockets."""
        self._ear.close()
        self._button.close()


class Watcher(_Shared):
    """An iterator over the lists of live services: the list at once, and again after each change.
    Changes that arrive close together make one list.

    It ends after ``timeout`` seconds, or when any thread calls ``close``. While the registry is away,
    also at the beginning, it says so once in the log and waits. After a reconnect it keeps what the
    registry does not know for ``grace`` seconds, for the holders of those services reconnect too; such
    services are marked as not ``confirmed``. A confirmation, or a new id alone, makes no new list.

    With several servers it watches all of them: a service is live if any of them says so, and a place
    that several know is told as the first of them does. Raises ``Refused`` if every server refuses for
    a reason other than lack of room or an old token, and ``Error`` if none is a registry.
    """

    def __init__(
        self, client: Client, type: Optional[str], timeout: Optional[float], grace: float
    ) -> None:
        self._is_closed = True
        self._command = "watch" if type is None else f"watch {_word(type)}"
        self._client = client
        self._deadline = time.monotonic() + (YEAR if timeout is None else timeout)
        self._grace = grace
        self._streams = [_Stream(server) for server in client._servers]
        #: The services of failed connections, by place, and until when they are kept.
        self._kept: Dict[Service, Tuple[List[Service], float]] = {}
        self._last: Optional[List[Service]] = None
        self._has_changed = False
        #: What the last list lacks and the one before it had, each with its ``reason``.
        self.down: List[Service] = []
        self._lock = threading.Lock()
        self._bell = _Bell()
        self._is_closed = False
        super().__init__()

    def __iter__(self) -> Watcher:
        return self

    def __next__(self) -> List[Service]:
        services = self._next(self._deadline)
        if services is None:
            self.close()
            raise StopIteration
        return services

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def next_within(self, seconds: float) -> Optional[List[Service]]:
        """Returns the next list; ``None`` if nothing changes for so long, or the watch has ended."""
        return self._next(min(time.monotonic() + seconds, self._deadline))

    def close(self) -> None:
        """Ends the watch, from any thread: the iteration ends at once, unless it is just connecting."""
        if not self._is_closed:
            self._is_closed = True
            self._bell.ring()
            self._clean()

    def _clean(self) -> None:
        """Closes the sockets, unless a thread still uses them, which will do so itself."""
        if self._lock.acquire(blocking=False):
            try:
                for stream in self._streams:
                    stream.close()
                self._bell.close()
            finally:
                self._lock.release()

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        if not self._is_closed:
            self._bell = _Bell()
        for stream in self._streams:
            self._keep(stream)
            stream.close()

    def _next(self, deadline: float) -> Optional[List[Service]]:
        try:
            with self._lock:
                while not self._is_closed:
                    self._connect()
                    self._read()
                    services = self._news()
                    if services is not None:
                        return services
                    if time.monotonic() >= deadline:
                        return None
                    self._wait(deadline)
                return None
        except BaseException:
            self._is_closed = True
            raise
        finally:
            if self._is_closed:
                self._clean()

    def _connect(self) -> None:
        """Connects to one server, if it is time to."""
        for stream in self._streams:
            if stream.connection is None and stream.retry_at <= time.monotonic():
                is_beside = any(other.connection for other in self._streams)
                limit = min(self._client._timeout, CONNECT_BESIDE_MAX if is_beside else YEAR)
                try:
                    stream.open(self._client, self._command, limit)
                except Error as error:
                    self._fail(stream, error)
                return

    def _read(self) -> None:
        # Bounded, so that a service which sends without a pause cannot stop the watch.
        end = time.monotonic() + CATCH_UP_MAX
        for stream in self._streams:
            was_away = stream.failure is not None
            try:
                self._has_changed |= stream.read(end)
            except Error as error:
                self._fail(stream, error)
            if was_away and stream.failure is None:
                _log.info("the registry at %s:%d is back", *stream.server)

    def _fail(self, stream: _Stream, error: Error) -> None:
        is_said = stream.failure is not None
        # That it is back, but refuses, is news.
        is_said &= isinstance(error, Refused) <= isinstance(stream.failure, Refused)
        stream.fail(error)
        self._keep(stream)
        stream.close()
        failures = [stream.failure for stream in self._streams if stream.failure is not None]
        if len(failures) == len(self._streams) and not any(map(self._client._can_pass, failures)):
            raise error
        if not is_said:
            _log.warning("the watch at %s:%d waits for the registry: %s", *stream.server, error)

    def _keep(self, stream: _Stream) -> None:
        """Keeps what a stream that fails has told."""
        for service, group in _by_place(stream.live).items():
            self._kept[service] = group, _NEVER
        stream.is_current = False
        if not any(other.is_current for other in self._streams):
            # While nobody can confirm them, nothing is over.
            self._kept = {service: (group, _NEVER) for service, (group, _) in self._kept.items()}
        self._has_changed = True

    def _news(self) -> Optional[List[Service]]:
        """The list, if it is known and not the last one."""
        now = time.monotonic()
        if not self._has_changed and all(now < until for _, until in self._kept.values()):
            return None
        if not any(stream.is_current for stream in self._streams):
            return None
        self._has_changed = False
        merged = self._merged(now)
        # Nobody is believed that there is nothing before all were asked.
        if not merged and not all(stream.was_asked() for stream in self._streams):
            self._has_changed = True
            return None
        services = sorted((one for group in merged.values() for one in group), key=_detail)
        reasons = {place: why for stream in self._streams for place, why in stream.reasons.items()}
        for stream in self._streams:
            stream.reasons = {}
        if self._last is not None and list(map(_detail, self._last)) == list(map(_detail, services)):
            return None
        left = Counter(services)
        left.subtract(self._last or [])
        self.down = [place._but(reason=reasons.get(place, "")) for place in (-left).elements()]
        self._last = services
        return services.copy()

    def _merged(self, now: float) -> Dict[Service, List[Service]]:
        """The live services of all servers, and those that are kept."""
        merged: Dict[Service, List[Service]] = {}
        for stream in self._streams:
            for service, group in _by_place(stream.live).items():
                merged.setdefault(service, group)
        still_kept: Dict[Service, Tuple[List[Service], float]] = {}
        for service, (group, until) in self._kept.items():
            if service not in merged and until > now:
                still_kept[service] = group, min(until, now + self._grace)
        self._kept = still_kept
        for service, (group, _) in still_kept.items():
            merged[service] = [one._but(confirmed=False) for one in group]
        return merged

    def _wait(self, deadline: float) -> None:
        """Waits until a line arrives, the bell rings, or it is time for something."""
        times = [deadline] + [until for _, until in self._kept.values()]
        with _Selector() as selector:
            selector.register(self._bell, selectors.EVENT_READ)
            for stream in self._streams:
                if stream.connection is None:
                    times.append(stream.retry_at)
                else:
                    selector.register(stream.connection, selectors.EVENT_READ)
                    times.append(stream.dead_at)
            selector.select(max(min(times) - time.monotonic(), SHORTEST))


def _by_place(live: _Live) -> Dict[Service, List[Service]]:
    """Groups services by type, ip and port."""
    places: Dict[Service, List[Service]] = {}
    for group in live.values():
        places.setdefault(group[0], []).extend(group)
    return places


def _detail(service: Service) -> Tuple[_Place, Tuple[str, ...], List[Tuple[str, str]]]:
    """What makes a new list when it changes."""
    return service, service.tags, sorted(service.meta.items())


def _as_coroutine(
    method: Callable[Concatenate[Client, P], T]
) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    """A method of ``Client`` as one of ``AsyncClient``."""
    async def _run(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        # It takes longer to import than all the rest.
        import asyncio

        return await asyncio.to_thread(method, self._client, *args, **kwargs)

    functools.update_wrapper(_run, method)
    return _run


class AsyncClient:
    """A ``Client`` for ``asyncio``: the same arguments, and the same methods as coroutines. Its requests
    run in the threads of the event loop's default executor.

        client = discovery.AsyncClient()
        async with client.hold("hive", "-", 65433):
            print(await client.query("hive"))
            async for services in client.watch("hive", timeout=60):
                print(services)
    """

    def __init__(
        self, server: Union[None, str, Sequence[str]] = None, token: Optional[str] = None,
        timeout: float = TIMEOUT, token_file: Optional[str] = None,
    ) -> None:
        self._client = Client(server, token, timeout, token_file)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    register = _as_coroutine(Client.register)
    heartbeat = _as_coroutine(Client.heartbeat)
    revive = _as_coroutine(Client.revive)
    deregister = _as_coroutine(Client.deregister)
    update = _as_coroutine(Client.update)
    query = _as_coroutine(Client.query)
    types = _as_coroutine(Client.types)
    list = _as_coroutine(Client.list)
    why = _as_coroutine(Client.why)
    stats = _as_coroutine(Client.stats)
    ping = _as_coroutine(Client.ping)
    close = _as_coroutine(Client.close)

    async def watch(
        self, type: Optional[str] = None, timeout: Optional[float] = None, grace: float = GRACE
    ) -> AsyncIterator[List[Service]]:
        """Iterates over the lists of live services, as ``Client.watch`` does. Cancelling a step ends the
        watch."""
        with self._client.watch(type, timeout, grace) as watcher:
            while (services := await _in_thread(lambda: next(watcher, None))) is not None:
                yield services

    @asynccontextmanager
    async def hold(
        self, type: str, ip: Ip, port: int, ttl: Optional[int] = None, replace: bool = False,
        tags: Iterable[str] = (), meta: Optional[Mapping[str, str]] = None,
    ) -> AsyncIterator[Hold]:
        """Keeps a service registered as long as the block runs, as ``Client.hold`` does. The methods of
        what it yields block: call them in a thread."""
        import asyncio

        making = asyncio.ensure_future(
            asyncio.to_thread(self._client.hold, type, ip, port, ttl, replace, tags, meta)
        )
        try:
            held = await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_close_made)
            raise
        try:
            yield held
        finally:
            await asyncio.to_thread(held.close)


async def _in_thread(call: Callable[[], T]) -> T:
    """Runs a call that may last for ever in a thread of its own, which keeps no program from ending."""
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def _settle(set_: Callable[[Any], None], value: object) -> None:
        if not future.done():
            set_(value)

    def _run() -> None:
        try:
            told: Tuple[Callable[[Any], None], object] = future.set_result, call()
        except BaseException as error:
            told = future.set_exception, error
        try:
            loop.call_soon_threadsafe(_settle, *told)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            pass

    threading.Thread(target=_run, name="discovery-watch", daemon=True).start()
    return await future


def _close_made(making: asyncio.Future[Hold]) -> None:
    """Ends a registration that nobody waited for."""
    if not making.cancelled() and making.exception() is None:
        threading.Thread(target=making.result().close, daemon=True).start()


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """Connects to the first address of a host that accepts; all addresses share the deadline."""
    reason: Exception = OSError("the name has no address")
    try:
        addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    # UnicodeError: the name is too long.
    except (OSError, UnicodeError) as error:
        addresses, reason = [], error
    for i, (family, kind, protocol, _, address) in enumerate(addresses):
        try:
            connecting = socket.socket(family, kind, protocol)
        except OSError as error:
            reason = error
            continue
        _sockets.add(connecting)
        try:
            share = (deadline - time.monotonic()) / (len(addresses) - i)
            connecting.settimeout(max(share, SHORTEST))
            connecting.connect(address)
            # TCP can connect a local port to itself while nobody listens on it (RFC 9293, section 3.5).
            if connecting.getsockname() != connecting.getpeername():
                return connecting
            reason = ConnectionRefusedError("nobody listens on this port")
            connecting.close()
        except OSError as error:
            connecting.close()
            reason = error
        except BaseException:
            connecting.close()
            raise
    raise Away(f"cannot reach the registry at {host}:{port}: {reason}") from reason


def _gone(error: OSError) -> Away:
    if isinstance(error, socket.timeout):
        return Away("the registry did not accept data in time")
    return Broken(f"the connection to the registry failed: {error}")


def _nonsense(answer: str) -> Error:
    return Error(f"this is not the registry: it answered {ascii(answer[:60])}")


def _accepted(answer: str) -> str:
    """Returns the answer; raises ``Refused`` for ``ERROR``, with the reason escaped for a terminal."""
    if not answer.startswith("ERROR "):
        return answer
    reason = answer[len("ERROR "):][:300]
    reason = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in reason)
    if reason in ("authentication required", "authentication failed"):
        raise Denied(reason)
    raise Refused(reason)


def _exactly(expected: str, answer: str) -> None:
    if answer != expected:
        raise _nonsense(answer)


def _found(answer: str) -> bool:
    if answer not in ("OK", "NOT FOUND"):
        raise _nonsense(answer)
    return answer == "OK"


def _uuid(answer: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer):
        raise _nonsense(answer)
    return answer


_MEMBER = re.compile(r'\s*"(\w+)"\s*:\s*')
_SCALAR = re.compile(r'[\w.+-]{1,64}|"[^"\\]{0,64}"')
_NEXT = re.compile(r"\s*([,}\]])\s*")


def _rows(text: str, **kinds: type) -> List[Dict[str, Any]]:
    """Reads an array of objects that have these keys, with values of these types."""
    rows, end = _read_rows(text, 0, kinds)
    if text[end:]:
        raise _nonsense(text)
    return rows


def _read_rows(text: str, at: int, kinds: Dict[str, type]) -> Tuple[List[Dict[str, Any]], int]:
    """Reads the array that begins here, and returns its end. It is read in parts, and each is checked
    before the next: a hostile answer can take many times its length in memory."""
    def _check(part: List[Any]) -> List[Dict[str, Any]]:
        for row in part:
            for key, kind in kinds.items():
                if not isinstance(row, dict) or not isinstance(row.get(key), kind):
                    raise _nonsense(text)
            if "port" in kinds and not 0 < row["port"] < 65536:
                raise _nonsense(text)
        return part

    rows: List[Dict[str, Any]] = []
    if not text.startswith("[", at):
        raise _nonsense(text)
    at += 1
    if text.startswith("]", at):
        return rows, at + 1
    while True:
        cut = text.rfind("},{", at, at + OBJECT_LEN_MAX) + 1
        try:
            rows += _check(json.loads(f"[{text[at:cut]}]"))
            at = cut + 1 if cut else at
        # The cut is within an object: RecursionError as in _json.
        except (ValueError, RecursionError):
            pass
        row, at = _read_object(text, at)
        rows += _check([row])
        end = _NEXT.match(text, at)
        if end is None or end[1] == "}":
            raise _nonsense(text)
        at = end.end()
        if end[1] == "]":
            return rows, at


def _read_object(text: str, at: int) -> Tuple[Dict[str, Any], int]:
    """Reads the object that begins here, and returns its end."""
    # Most end at the first brace; the others have braces in them.
    end = text.find("}", at, at + OBJECT_LEN_MAX) + 1
    if end and text.startswith("{", at):
        for part in (text[at:end], text[at : at + OBJECT_LEN_MAX]):
            try:
                value, length = _DECODER.raw_decode(part)
                return value, at + length
            except (ValueError, RecursionError):
                pass
    raise _nonsense(text)


_DECODER = json.JSONDecoder()


def _change(text: str) -> Dict[str, Any]:
    """Reads a line of a watch: an object whose values are numbers, words, and arrays of services."""
    change: Dict[str, Any] = {}
    if not text.startswith("{"):
        raise _nonsense(text)
    at = 1
    while True:
        member = _MEMBER.match(text, at)
        if member is None:
            raise _nonsense(text)
        at = member.end()
        if text.startswith("[", at):
            change[member[1]], at = _read_rows(text, at, {"type": str, "ip": str, "port": int})
        else:
            scalar = _SCALAR.match(text, at)
            if scalar is None:
                raise _nonsense(text)
            change[member[1]], at = _json(scalar[0]), scalar.end()
        end = _NEXT.match(text, at)
        if end is None or end[1] == "]":
            raise _nonsense(text)
        at = end.end()
        if end[1] == "}":
            if text[at:]:
                raise _nonsense(text)
            return change


def _service(row: Dict[str, Any]) -> Service:
    """Reads a service of a watch; its type, ip and port have been checked."""
    id, reason = row.get("id", ""), row.get("reason", "")
    tags, meta = row.get("tags", []), row.get("meta", {})
    if not (isinstance(id, str) and isinstance(reason, str) and isinstance(tags, list)
            and isinstance(meta, dict) and all(isinstance(text, str) for text in [*tags, *meta.values()])):
        raise _nonsense(json.dumps(row))
    return Service(row["type"], row["ip"], row["port"], id, tags, meta, True, reason)


def _document_or_none(text: str) -> Optional[Dict[str, Any]]:
    return None if text == "NOT FOUND" else _object(text)


def _object(text: str) -> Dict[str, Any]:
    value = _json(text) if len(text) <= OBJECT_LEN_MAX else None
    if not isinstance(value, dict):
        raise _nonsense(text)
    return value


def _json(text: str) -> object:
    try:
        return json.loads(text)
    # RecursionError: a hostile answer can be nested too deeply.
    except (ValueError, RecursionError) as error:
        raise _nonsense(text) from error


def _is_word(text: object) -> bool:
    return isinstance(text, str) and bool(text) and not any(c.isspace() or ord(c) < 32 for c in text)


def _word(text: str) -> str:
    """Checks one word of a command: white space or a line end in it would make more words or commands."""
    if not _is_word(text):
        raise ValueError(f"{text!r} is empty or contains white space")
    return text


def _place(type: str, ip: Ip, port: int) -> str:
    """The three words that say where a service is."""
    if isinstance(ip, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        ip = str(ip)
    return f"{_word(type)} {_word(ip)} {operator.index(port)}"


def _options(ttl: Optional[int], replace: bool) -> str:
    return ("" if ttl is None else f" ttl={operator.index(ttl)}") + (" replace" if replace else "")


def _description(tags: Iterable[str], meta: Optional[Mapping[str, str]]) -> str:
    """Tags and metadata as options of a command."""
    if isinstance(tags, str):
        raise ValueError(f"{tags!r} is not a list of tags")
    options = "".join(f" tag={_word(tag)}" for tag in tags)
    for key, value in (meta or {}).items():
        if not (isinstance(key, str) and _KEY.fullmatch(key)):
            raise ValueError(f"{key!r} is not a key of metadata: A-Z a-z 0-9 _ . -")
        options += f" meta.{key}={value and _word(value)}"
    return options


_KEY = re.compile(r"[A-Za-z0-9_.-]{1,63}")


def _parse_servers(servers: Union[str, Sequence[str]]) -> List[Server]:
    parsed = []
    for server in servers.split(",") if isinstance(servers, str) else servers:
        parts = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^\[\]:/\s]+)):([0-9]{1,5})", server.strip())
        if parts is None or not 0 < int(parts[3]) < 65536:
            raise ValueError(f"{server!r} is not host:port (see DISCOVERY_SERVER)")
        parsed.append((parts[1] or parts[2], int(parts[3])))
    return parsed


def _token_in(path: str) -> str:
    """The first token in a file."""
    # An editor may have put a byte order mark before it.
    with open(path, encoding="utf-8-sig") as file:
        token = next((line.strip() for line in file if line.strip()), None)
    if token is None or not _is_word(token):
        raise ValueError(f"the token file {path} has no token (see DISCOVERY_TOKEN_FILE)")
    return token


def register(
    type: str, ip: Ip, port: int, ttl: Optional[int] = None, replace: bool = False,
    tags: Iterable[str] = (), meta: Optional[Mapping[str, str]] = None,
) -> str:
    """Calls ``Client.register`` with a client for this call only."""
    with Client() as client:
        return client.register(type, ip, port, ttl, replace, tags, meta)


def heartbeat(uuid: str) -> bool:
    """Calls ``Client.heartbeat`` with a client for this call only."""
    with Client() as client:
        return client.heartbeat(uuid)


def revive(
    uuid: str, type: str, ip: Ip, port: int, ttl: Optional[int] = None,
    tags: Iterable[str] = (), meta: Optional[Mapping[str, str]] = None,
) -> None:
    """Calls ``Client.revive`` with a client for this call only."""
    with Client() as client:
        client.revive(uuid, type, ip, port, ttl, tags, meta)


def deregister(uuid: str) -> bool:
    """Calls ``Client.deregister`` with a client for this call only."""
    with Client() as client:
        return client.deregister(uuid)


def update(
    uuid: str, tags: Iterable[str] = (), meta: Optional[Mapping[str, str]] = None
) -> bool:
    """Calls ``Client.update`` with a client for this call only."""
    with Client() as client:
        return client.update(uuid, tags, meta)


def query(
    type: str, max_age: Optional[int] = None, tags: Iterable[str] = (),
    meta: Optional[Mapping[str, str]] = None, limit: Optional[int] = None,
) -> List[Address]:
    """Calls ``Client.query`` with a client for this call only."""
    with Client() as client:
        return client.query(type, max_age, tags, meta, limit)


def watch(
    type: Optional[str] = None, timeout: Optional[float] = None, grace: float = GRACE
) -> Watcher:
    """Calls ``Client.watch`` with a client for this call only."""
    return Client().watch(type, timeout, grace)


def hold(
    type: str, ip: Ip, port: int, ttl: Optional[int] = None, replace: bool = False,
    tags: Iterable[str] = (), meta: Optional[Mapping[str, str]] = None,
) -> Hold:
    """Calls ``Client.hold`` with a client for this call only."""
    return Client().hold(type, ip, port, ttl, replace, tags, meta)
