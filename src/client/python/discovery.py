"""A client of the discovery service in one file: copy it into your project.

It needs Python 3.9 or later and nothing but the standard library, and it starts no threads.

    import discovery

    with discovery.hold("hive", "-", 65433):        # registered as long as this block runs
        print(discovery.query("hive"))              # [Address(ip='127.0.0.1', port=65433)]

    for services in discovery.watch("hive"):        # at once, and again at each change
        print(services)

The address of the service comes from ``DISCOVERY_SERVER`` (``host:port``; separate several with
commas) and the token from the file that ``DISCOVERY_TOKEN_FILE`` names; ``Client`` also takes both as
arguments. A request that the service refuses or does not answer raises ``Error``; an argument that
cannot be sent raises ``ValueError``. Use a client, and what it holds, from one thread and one process
at a time: a forked child keeps the connections open, and with them the registrations.
"""

from __future__ import annotations

import json
import operator
import os
import random
import re
import socket
import time
from collections import Counter
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple, TypeVar

__all__ = [
    "Address", "Away", "Broken", "Client", "Error", "Hold", "Refused", "Service",
    "deregister", "heartbeat", "hold", "query", "register", "watch",
]

T = TypeVar("T")

DEFAULT_SERVER = "127.0.0.1:65432"
#: Seconds that an answer may take, connecting included; the system decides how long it resolves a host name.
TIMEOUT = 5.0
#: Seconds of silence after which a watching connection counts as dead: the service sends a keepalive after 15.
SILENCE_MAX = 25.0
#: Seconds before the first and before the last retry to connect; the delay doubles from one to the other.
BACKOFF = (0.1, 5.0)
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


class Error(Exception):
    """A request failed: the base class of all errors of this module."""


class Away(Error):
    """The service cannot be reached, did not answer in time, or closed the connection."""


class Broken(Away):
    """The connection ended before the answer."""


class Refused(Error):
    """The service refused the request; the message is its reason."""


class Address(NamedTuple):
    """Where a service can be reached; a plain tuple for ``socket.create_connection``."""

    ip: str
    port: int


class Service(NamedTuple):
    """A live service: its type and its address."""

    type: str
    ip: str
    port: int


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
            self._receive(left)
        end = self._searched
        line = self._unread[:end].decode(errors="replace")
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

    def _receive(self, timeout: float) -> None:
        try:
            self._socket.settimeout(max(timeout, SHORTEST))
            data = self._socket.recv(65536)
        except socket.timeout:
            return
        except OSError as error:
            raise _gone(error) from error
        if not data:
            raise Broken("the registry closed the connection")
        self._unread += data

    def catch_up(self) -> bool:
        """Reads what has arrived without waiting; returns whether a complete line is there."""
        if not self.has_line():
            try:
                self._socket.settimeout(0)
                self._unread += self._socket.recv(65536)
            except OSError:
                pass
        return self.has_line()

    def ask(self, command: str, timeout: float) -> str:
        """Sends a command and returns its answer; raises ``Refused`` for ``ERROR``."""
        deadline = time.monotonic() + timeout
        self.send(command.encode() + b"\n", timeout)
        return _accepted(self.line(deadline - time.monotonic()))

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()


class Client:
    """Talks to the service over one connection. The client connects when it first needs to, and again
    after the connection has failed. ``timeout`` is the limit for each answer, in seconds."""

    def __init__(
        self, server: Optional[str] = None, token: Optional[str] = None, timeout: float = TIMEOUT
    ) -> None:
        self._servers = _parse_servers(server or os.environ.get("DISCOVERY_SERVER") or DEFAULT_SERVER)
        self._token = token if token is not None else _token_from_file()
        if self._token is not None and not _is_word(self._token):
            raise ValueError("the token is empty or contains white space")
        if not 0 < timeout <= YEAR:
            raise ValueError(f"{timeout!r} is not a time limit in seconds")
        self._timeout = timeout
        self._connection: Optional[Connection] = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; the next command opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def connect(self, timeout: Optional[float] = None) -> Connection:
        """Opens a separate connection, which the caller must close, to the first server that answers.
        All servers together share the time limit."""
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        failures: List[Error] = []
        for i, (host, port) in enumerate(self._servers):
            try:
                return self._greet(host, port, (deadline - time.monotonic()) / (len(self._servers) - i))
            except Error as error:
                failures.append(error)
        # If no retry can help, the last failure is the reason.
        if len(failures) == 1 or not any(map(_is_transient, failures)):
            raise failures[-1]
        raise Away("; ".join(map(str, failures)))

    def _greet(self, host: str, port: int, timeout: float) -> Connection:
        deadline = time.monotonic() + timeout
        connection = Connection(host, port, timeout)
        try:
            if self._token is not None:
                _exactly("OK", connection.ask("auth " + self._token, deadline - time.monotonic()))
            elif len(self._servers) > 1:
                # A server that is stopped or full accepts connections too; another may answer.
                _exactly("PONG", connection.ask("ping", deadline - time.monotonic()))
        except BaseException:
            connection.close()
            raise
        return connection

    def ask(self, command: str, again: bool = True) -> str:
        """Sends a command and returns its answer. With ``again`` the client sends the command once
        more if a connection that was already open turns out to be broken."""
        deadline = time.monotonic() + self._timeout
        if self._connection is not None and not self._connection.is_open():
            self.close()
        again = again and self._connection is not None
        while True:
            if self._connection is None:
                self._connection = self.connect(deadline - time.monotonic())
            try:
                return self._connection.ask(command, deadline - time.monotonic())
            except Refused:
                raise
            # After any failure, KeyboardInterrupt included, the late answer could arrive and be taken
            # for the answer to the next command.
            except BaseException as error:
                self.close()
                if not (again and isinstance(error, Broken)):
                    raise
            again = False

    def _read(self, command: str, parse: Callable[[str], T], again: bool = True) -> T:
        """Sends a command and parses its answer. Closes the connection after an answer that does not
        parse: the client could no longer match answers to commands."""
        answer = self.ask(command, again)
        try:
            return parse(answer)
        except Error:
            self.close()
            raise

    def register(
        self, type: str, ip: str, port: int, ttl: Optional[int] = None, replace: bool = False
    ) -> str:
        """Registers a service and returns the UUID. ``ip`` may be ``-`` for the address that this
        connection comes from. ``replace`` removes all other registrations of this type at this address.
        The client never sends this command twice; if the connection fails before the answer, the
        registration may exist."""
        command = f"register {_word(type)} {_word(ip)} {operator.index(port)}"
        command += "" if ttl is None else f" ttl={operator.index(ttl)}"
        return self._read(command + (" replace" if replace else ""), _uuid, again=False)

    def heartbeat(self, uuid: str) -> bool:
        """Keeps a registration alive; ``False`` if it is not known: register the service again."""
        return self._read(f"heartbeat {_word(uuid)}", _found)

    def deregister(self, uuid: str) -> bool:
        """Removes a registration; ``False`` if it is not known. That is also the answer if the connection
        failed after the removal and the client sent the command again."""
        return self._read(f"deregister {_word(uuid)}", _found)

    def query(self, type: str, max_age: Optional[int] = None) -> List[Address]:
        """Returns the addresses of all live services of a type, oldest registration first."""
        command = f"query {_word(type)}" + ("" if max_age is None else f" max-age={operator.index(max_age)}")
        rows = self._read(command, lambda answer: _rows(answer, ip=str, port=int))
        return [Address(one["ip"], one["port"]) for one in rows]

    def types(self) -> Dict[str, int]:
        """Returns the types, each with the number of its registrations."""
        rows = self._read("types", lambda answer: _rows(answer, type=str, count=int))
        return {one["type"]: one["count"] for one in rows}

    def list(self, type: Optional[str] = None) -> List[Dict[str, Any]]:
        """Returns everything but the UUID of each registration of a type, or of all."""
        command = "list" if type is None else f"list {_word(type)}"
        return self._read(command, lambda answer: _rows(answer, type=str, ip=str, port=int))

    def why(self, uuid: str) -> Optional[Dict[str, Any]]:
        """Returns whether a registration is live, or why it was removed; ``None`` if the service does not
        know the UUID."""
        return self._read(f"why {_word(uuid)}", lambda answer: None if answer == "NOT FOUND" else _object(answer))

    def stats(self) -> Dict[str, Any]:
        """Returns the counters of the service."""
        return self._read("stats", _object)

    def ping(self) -> None:
        """Raises an ``Error`` if the service does not answer."""
        self._read("ping", lambda answer: _exactly("PONG", answer))

    def watch(self, type: Optional[str] = None) -> Iterator[List[Service]]:
        """Yields the live services of a type, or of all types: at once, and again after each change.
        Changes that arrive close together are yielded as one.

        While the service is away, the watch reconnects and the last list stays valid; after that it
        yields a new list if anything changed meanwhile. Raises ``Refused`` if the service refuses for
        any reason but lack of room, and ``Error`` if the first attempt fails.
        """
        command = "watch" if type is None else f"watch {_word(type)}"
        last: Optional[Counter[Service]] = None
        for picture in self._pictures(command):
            if picture != last:
                last = picture.copy()
                yield sorted(picture.elements())

    def _pictures(self, command: str) -> Iterator[Counter[Service]]:
        first, delay = True, BACKOFF[0]
        while True:
            connection, connected_at = None, time.monotonic()
            try:
                connection = self.connect()
                picture = _first_picture(connection.ask(command, self._timeout))
                first, connected_at = False, time.monotonic()
                while True:
                    # Bounded, so that a service which sends without a pause cannot stop the watch.
                    end = time.monotonic() + CATCH_UP_MAX
                    while time.monotonic() < end and connection.catch_up():
                        _apply(picture, connection.line(0))
                    yield picture
                    _apply(picture, connection.line(SILENCE_MAX))
            except Error as error:
                if first or not _is_transient(error):
                    raise
            finally:
                if connection is not None:
                    connection.close()
            if time.monotonic() - connected_at > BACKOFF[1]:
                delay = BACKOFF[0]
            time.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(2 * delay, BACKOFF[1])

    @contextmanager
    def hold(self, type: str, ip: str, port: int) -> Iterator["Hold"]:
        """Registers a service for as long as the ``with`` block runs, without heartbeats: the registry
        removes the registration the moment this process dies. A long-running program calls ``check`` on
        the result now and then, which registers the service again after a restart of the registry."""
        held = Hold(self, f"hold {_word(type)} {_word(ip)} {operator.index(port)}")
        try:
            yield held
        finally:
            held.close()


class Hold:
    """A registration that lives as long as its connection."""

    def __init__(self, client: Client, command: str) -> None:
        self._client = client
        self._command = command
        self._connection: Optional[Connection] = None
        self._is_over = False
        self.uuid = ""
        self._make(time.monotonic() + client._timeout)

    def _make(self, deadline: float) -> None:
        connection = self._client.connect(deadline - time.monotonic())
        try:
            if self.uuid:
                # The old registration may outlive its connection.
                connection.ask(f"deregister {self.uuid}", deadline - time.monotonic())
            self.uuid = _uuid(connection.ask(self._command, deadline - time.monotonic()))
        except BaseException as error:
            connection.close()
            if isinstance(error, Refused):
                # Another server may have room.
                self._client._servers = self._client._servers[1:] + self._client._servers[:1]
            raise
        self._connection = connection

    def check(self) -> bool:
        """Checks that the connection still answers, and registers again if not. Returns ``False`` if
        that is impossible now because the service is away or full: call again later. Raises ``Refused``
        if the service refuses for another reason."""
        if self._is_over:
            raise ValueError("the registration is closed")
        deadline = time.monotonic() + self._client._timeout
        try:
            if self._connection is not None:
                _exactly("PONG", self._connection.ask("ping", (deadline - time.monotonic()) / 2))
                return True
        except Error:
            self._close()
        except BaseException:
            self._close()
            raise
        try:
            self._make(deadline)
            return True
        except Error as error:
            if not _is_transient(error):
                raise
            return False

    def close(self) -> None:
        """Removes the registration."""
        self._is_over = True
        self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


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


def _is_transient(error: Error) -> bool:
    """Whether a retry can help: the service may come back or have room again, but any other refusal
    is final."""
    return isinstance(error, Away) or (
        isinstance(error, Refused) and str(error) in ("registry full", "too many connections")
    )


def _nonsense(answer: str) -> Error:
    return Error(f"this is not the registry: it answered {ascii(answer[:60])}")


def _accepted(answer: str) -> str:
    """Returns the answer; raises ``Refused`` for ``ERROR``, with the reason escaped for a terminal."""
    if not answer.startswith("ERROR "):
        return answer
    reason = answer[len("ERROR "):][:300]
    raise Refused("".join(c if c.isprintable() else ascii(c)[1:-1] for c in reason))


def _first_picture(line: str) -> Counter[Service]:
    """Reads the snapshot that begins a watch."""
    picture: Counter[Service] = Counter()
    if "services" not in _change(line):
        raise _nonsense(line)
    _apply(picture, line)
    return picture


def _apply(picture: Counter[Service], line: str) -> None:
    """Applies a line of a watch to the picture."""
    change = _change(_accepted(line))
    if not isinstance(change.get("index"), int):
        raise _nonsense(line)

    def services(key: str) -> Counter[Service]:
        return Counter(Service(one["type"], one["ip"], one["port"]) for one in change.get(key, []))

    if "services" in change:
        picture.clear()
        picture.update(services("services"))
        return
    picture.update(services("up"))
    for service, count in services("down").items():
        if picture[service] < count:
            raise _nonsense(line)
        picture[service] -= count
        if not picture[service]:
            del picture[service]


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
        cut = text.rfind("},", at, at + OBJECT_LEN_MAX) + 1
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


def _parse_servers(text: str) -> List[Tuple[str, int]]:
    servers = []
    for server in text.split(","):
        parts = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^\[\]:/\s]+)):([0-9]{1,5})", server.strip())
        if parts is None or not 0 < int(parts[3]) < 65536:
            raise ValueError(f"{server!r} is not host:port (see DISCOVERY_SERVER)")
        servers.append((parts[1] or parts[2], int(parts[3])))
    return servers


def _token_from_file() -> Optional[str]:
    path = os.environ.get("DISCOVERY_TOKEN_FILE")
    if not path:
        return None
    with open(path, encoding="utf-8") as file:
        token = next((line.strip() for line in file if line.strip()), None)
    if token is None:
        raise ValueError(f"the token file {path} has no token (see DISCOVERY_TOKEN_FILE)")
    return token


def register(type: str, ip: str, port: int, ttl: Optional[int] = None, replace: bool = False) -> str:
    """Calls ``Client.register`` with a client for this call only."""
    with Client() as client:
        return client.register(type, ip, port, ttl, replace)


def heartbeat(uuid: str) -> bool:
    """Calls ``Client.heartbeat`` with a client for this call only."""
    with Client() as client:
        return client.heartbeat(uuid)


def deregister(uuid: str) -> bool:
    """Calls ``Client.deregister`` with a client for this call only."""
    with Client() as client:
        return client.deregister(uuid)


def query(type: str, max_age: Optional[int] = None) -> List[Address]:
    """Calls ``Client.query`` with a client for this call only."""
    with Client() as client:
        return client.query(type, max_age)


def watch(type: Optional[str] = None) -> Iterator[List[Service]]:
    """Calls ``Client.watch`` with a client for this call only."""
    with Client() as client:
        yield from client.watch(type)


@contextmanager
def hold(type: str, ip: str, port: int) -> Iterator[Hold]:
    """Calls ``Client.hold`` with a client for this call only."""
    with Client() as client, client.hold(type, ip, port) as held:
        yield held
