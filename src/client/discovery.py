"""A client of the discovery service in one file: copy it into your project.

Python 3.9 or later, nothing but the standard library, no threads of its own.

    import discovery

    with discovery.hold("hive", "-", 65433):        # registered as long as this block runs
        print(discovery.query("hive"))              # [Address(ip='127.0.0.1', port=65433)]

    for services in discovery.watch("hive"):        # at once, and again at each change
        print(services)

The address of the service comes from ``DISCOVERY_SERVER`` (``host:port``, several with commas), its
token from the file named by ``DISCOVERY_TOKEN_FILE``; ``Client`` takes both as arguments too.
"""

from __future__ import annotations

import json
import os
import random
import re
import select
import socket
import time
from collections import Counter
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple, TypeVar

__all__ = [
    "Address", "Away", "Client", "Error", "Hold", "Refused", "Service",
    "deregister", "heartbeat", "hold", "query", "register", "watch",
]

T = TypeVar("T")

DEFAULT_SERVER = "127.0.0.1:65432"
#: Seconds that connecting and each answer may take.
TIMEOUT = 5.0
#: Seconds of silence after which a watched connection is taken for dead: the service speaks every 15.
SILENCE_MAX = 25.0
#: Seconds between the first tries to connect again, and between the last; they double in between.
BACKOFF = (0.1, 5.0)
#: Bytes of the longest answer that is read.
ANSWER_LEN_MAX = 256 * 1024 * 1024


class Error(Exception):
    """What can go wrong between a client and the service."""


class Away(Error):
    """The service cannot be reached, does not answer in time, or has closed the connection."""


class Refused(Error):
    """The service has refused; the message is its reason."""


class Address(NamedTuple):
    """Where a service can be reached; a plain tuple for ``socket.create_connection``."""

    ip: str
    port: int


class Service(NamedTuple):
    """A service of a type."""

    type: str
    ip: str
    port: int


class Connection:
    """One connection that speaks text lines, with a time limit on everything."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._unread = bytearray()
        self._searched = 0
        self._timeout = timeout
        try:
            self._socket = socket.create_connection((host, port), timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise Away(f"cannot reach the registry at {host}:{port}: {error}") from error

    def fileno(self) -> int:
        """For ``select``: readable when a line comes or the service has gone."""
        return self._socket.fileno()

    def is_open(self) -> bool:
        """Whether the service has neither closed the connection nor said something unasked."""
        return not self._unread and not select.select([self._socket], [], [], 0)[0]

    def set_timeout(self, timeout: float) -> None:
        """Sets how long each answer may take from now on."""
        self._timeout = timeout

    def send(self, command: str) -> None:
        """Sends a command."""
        self.send_bytes(command.encode() + b"\n")

    def send_bytes(self, data: bytes) -> None:
        """Sends bytes as they are."""
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendall(data)
        except OSError as error:
            raise Away(f"the registry has gone: {error}") from error

    def end_input(self) -> None:
        """Says that no further command follows; answers still come."""
        self._socket.shutdown(socket.SHUT_WR)

    def line(self, timeout: Optional[float] = None) -> str:
        """The next line, without its end."""
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        while True:
            end = self._unread.find(b"\n", self._searched)
            if end >= 0:
                line = self._unread[:end].decode(errors="replace")
                del self._unread[: end + 1]
                self._searched = 0
                return line
            self._searched = len(self._unread)
            if self._searched > ANSWER_LEN_MAX:
                raise Error("an answer without an end")
            left = deadline - time.monotonic()
            if left <= 0:
                raise Away("the registry did not answer in time")
            try:
                self._socket.settimeout(left)
                data = self._socket.recv(65536)
            except OSError as error:
                if isinstance(error, socket.timeout):
                    continue
                raise Away(f"the registry has gone: {error}") from error
            if not data:
                raise Away("the registry closed the connection")
            self._unread += data

    def ask(self, command: str) -> str:
        """Sends a command and returns its answer; raises ``Refused`` for ``ERROR``."""
        self.send(command)
        return _accepted(self.line())

    def expect(self, command: str, answer: str) -> None:
        """Sends a command that has this answer and no other."""
        _exactly(answer, self.ask(command))

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()


class Client:
    """Talks to the service over one connection, which is made when it is first needed and again when
    it has broken."""

    def __init__(
        self, server: Optional[str] = None, token: Optional[str] = None, timeout: float = TIMEOUT
    ) -> None:
        self._servers = _parse_servers(server or os.environ.get("DISCOVERY_SERVER") or DEFAULT_SERVER)
        self._token = token if token is not None else _token_from_file()
        if self._token is not None and not _is_word(self._token):
            raise ValueError("the token is empty or has a blank in it")
        self._timeout = timeout
        self._connection: Optional[Connection] = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; the next command makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def connect(self) -> Connection:
        """A connection of its own for the caller, which must close it: to the first address that
        answers. They share the time."""
        failures = []
        for host, port in self._servers:
            try:
                return self._connect(host, port, self._timeout / len(self._servers))
            except Error as error:
                if len(self._servers) == 1 or not _is_transient(error):
                    raise
                failures.append(str(error))
        raise Away("; ".join(failures))

    def _connect(self, host: str, port: int, timeout: float) -> Connection:
        connection = Connection(host, port, timeout)
        try:
            if self._token is not None:
                connection.expect("auth " + self._token, "OK")
            elif len(self._servers) > 1:
                # One that is stopped or full accepts connections, too; then another may answer.
                connection.expect("ping", "PONG")
        except BaseException:
            connection.close()
            raise
        connection.set_timeout(self._timeout)
        return connection

    def ask(self, command: str, again: bool = True) -> str:
        """Sends a command and returns its answer. With ``again`` it is sent once more when a
        connection that has been there before turns out to be broken."""
        if self._connection is not None and not self._connection.is_open():
            self.close()
        reused = self._connection is not None
        if self._connection is None:
            self._connection = self.connect()
        try:
            return self._connection.ask(command)
        except Refused:
            raise
        except Error:
            self.close()
            if not (reused and again):
                raise
        return self.ask(command, again=False)

    def _read(self, command: str, parse: Callable[[str], T], again: bool = True) -> T:
        """What an answer means; what comes after nonsense cannot be told apart."""
        answer = self.ask(command, again)
        try:
            return parse(answer)
        except Error:
            self.close()
            raise

    def register(
        self, type: str, ip: str, port: int, ttl: Optional[int] = None, replace: bool = False
    ) -> str:
        """Makes a registration and returns its UUID. ``ip`` may be ``-``, for the address that this
        connection comes from. ``replace`` removes all others of this type at this address."""
        command = f"register {_word(type)} {_word(ip)} {int(port)}"
        command += "" if ttl is None else f" ttl={int(ttl)}"
        return self._read(command + (" replace" if replace else ""), _uuid, again=False)

    def heartbeat(self, uuid: str) -> bool:
        """Keeps a registration alive; ``False`` when it is not known and has to be made again."""
        return self._read(f"heartbeat {_word(uuid)}", _found)

    def deregister(self, uuid: str) -> bool:
        """Removes a registration; ``False`` when it is not known."""
        return self._read(f"deregister {_word(uuid)}", _found)

    def query(self, type: str, max_age: Optional[int] = None) -> List[Address]:
        """The addresses of all live services of a type, oldest registration first."""
        command = f"query {_word(type)}" + ("" if max_age is None else f" max-age={int(max_age)}")
        rows = self._read(command, lambda answer: _rows(_json(answer), "ip", "port"))
        return [Address(one["ip"], one["port"]) for one in rows]

    def types(self) -> Dict[str, int]:
        """The types with the number of their registrations."""
        rows = self._read("types", lambda answer: _rows(_json(answer), "type", "count"))
        return {one["type"]: one["count"] for one in rows}

    def list(self, type: Optional[str] = None) -> List[Dict[str, Any]]:
        """All that may be told of each registration."""
        command = "list" if type is None else f"list {_word(type)}"
        return self._read(command, lambda answer: _rows(_json(answer), "type", "ip", "port"))

    def why(self, uuid: str) -> Optional[Dict[str, Any]]:
        """Whether a registration is live or why it went; ``None`` when nobody knows."""
        return self._read(f"why {_word(uuid)}", lambda answer: None if answer == "NOT FOUND" else _object(answer))

    def stats(self) -> Dict[str, Any]:
        """What the service has done so far."""
        return self._read("stats", _object)

    def ping(self) -> None:
        """Raises an ``Error`` when the service does not answer."""
        self._read("ping", lambda answer: _exactly("PONG", answer))

    def watch(self, type: Optional[str] = None) -> Iterator[List[Service]]:
        """Yields what is live of a type, or of all: at once, and again whenever it has changed.

        While the service is away what was last yielded stands; it is connected to again, and what has
        changed in between is yielded then. Raises ``Refused`` when the service refuses, but for want of
        room, and ``Error`` when the very first try fails.
        """
        last: Optional[Counter[Service]] = None
        for picture in self._pictures(type):
            if picture != last:
                last = picture
                yield sorted(picture.elements())

    def _pictures(self, type: Optional[str]) -> Iterator[Counter[Service]]:
        first, delay = True, BACKOFF[0]
        while True:
            connection = None
            try:
                connection = self.connect()
                connection.send("watch" if type is None else f"watch {_word(type)}")
                picture: Optional[Counter[Service]] = None
                while True:
                    answer = _accepted(connection.line(SILENCE_MAX if picture is not None else None))
                    picture = _apply(picture, answer)
                    first, delay = False, BACKOFF[0]
                    yield picture.copy()
            except Error as error:
                if first or not _is_transient(error):
                    raise
            finally:
                if connection is not None:
                    connection.close()
            time.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(2 * delay, BACKOFF[1])

    @contextmanager
    def hold(self, type: str, ip: str, port: int) -> Iterator["Hold"]:
        """Registers a service for as long as the ``with`` block runs. No heartbeats are needed; the
        service is gone from the registry the moment this process dies. A program that runs for long
        calls ``check`` on what it gets now and then, which registers it again where the registry was
        started again."""
        held = Hold(self, f"hold {_word(type)} {_word(ip)} {int(port)}")
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
        self.uuid = ""
        self._make()

    def _make(self) -> None:
        connection = self._client.connect()
        try:
            if self.uuid:
                # What a broken connection held may outlive it.
                connection.ask(f"deregister {self.uuid}")
            self.uuid = _uuid(connection.ask(self._command))
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def check(self) -> bool:
        """Asks whether the registration still stands, and makes it again if not; ``False`` when that
        cannot be done now, for the service is away or full: call again later."""
        try:
            if self._connection is not None and self._connection.ask("ping") == "PONG":
                return True
        except Error:
            pass
        self.close()
        try:
            self._make()
            return True
        except Error as error:
            if not _is_transient(error):
                raise
            return False

    def close(self) -> None:
        """Removes the registration."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _is_transient(error: Error) -> bool:
    """Whether another try can help: the service may come back or have room again, but it does not
    change its mind."""
    return isinstance(error, Away) or (
        isinstance(error, Refused) and str(error) in ("registry full", "too many connections")
    )


def _nonsense(answer: str) -> Error:
    return Error(f"what answers is not the registry: {ascii(answer[:60])}")


def _accepted(answer: str) -> str:
    """The answer; raises ``Refused`` for ``ERROR``, with a reason that is harmless on a terminal."""
    if not answer.startswith("ERROR "):
        return answer
    reason = answer[len("ERROR "):][:300]
    raise Refused("".join(c if c.isprintable() else ascii(c)[1:-1] for c in reason))


def _apply(picture: Optional[Counter[Service]], line: str) -> Counter[Service]:
    """What a watcher knows after a line of its stream."""
    change = _object(line)

    def services(key: str) -> Counter[Service]:
        rows = _rows(change.get(key, []), "type", "ip", "port")
        return Counter(Service(one["type"], one["ip"], one["port"]) for one in rows)

    if "services" in change:
        return services("services")
    if picture is None:
        raise _nonsense(line)
    return picture + services("up") - services("down")


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


def _rows(rows: object, *keys: str) -> List[Dict[str, Any]]:
    """An array of objects that have these keys."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() >= set(keys) for row in rows):
        raise _nonsense(json.dumps(rows))
    return rows


def _object(text: str) -> Dict[str, Any]:
    value = _json(text)
    if not isinstance(value, dict):
        raise _nonsense(text)
    return value


def _json(text: str) -> object:
    try:
        return json.loads(text)
    # A hostile answer may be nested too deeply.
    except (ValueError, RecursionError) as error:
        raise _nonsense(text) from error


def _is_word(text: str) -> bool:
    return bool(text) and not any(c.isspace() or ord(c) < 32 for c in text)


def _word(text: str) -> str:
    """A word of a command: what has a blank or a line end in it would be more than one."""
    if not _is_word(text):
        raise ValueError(f"{text!r} is empty or has a blank in it")
    return text


def _parse_servers(text: str) -> List[Tuple[str, int]]:
    servers = []
    for server in text.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"{server!r} is not host:port")
        servers.append((host.strip("[]"), int(port)))
    return servers


def _token_from_file() -> Optional[str]:
    path = os.environ.get("DISCOVERY_TOKEN_FILE")
    if not path:
        return None
    with open(path, encoding="utf-8") as file:
        return next((line.strip() for line in file if line.strip()), None)


def register(type: str, ip: str, port: int, ttl: Optional[int] = None, replace: bool = False) -> str:
    """As ``Client.register``, with a client for this call."""
    with Client() as client:
        return client.register(type, ip, port, ttl, replace)


def heartbeat(uuid: str) -> bool:
    """As ``Client.heartbeat``, with a client for this call."""
    with Client() as client:
        return client.heartbeat(uuid)


def deregister(uuid: str) -> bool:
    """As ``Client.deregister``, with a client for this call."""
    with Client() as client:
        return client.deregister(uuid)


def query(type: str, max_age: Optional[int] = None) -> List[Address]:
    """As ``Client.query``, with a client for this call."""
    with Client() as client:
        return client.query(type, max_age)


def watch(type: Optional[str] = None) -> Iterator[List[Service]]:
    """As ``Client.watch``, with a client for this call."""
    with Client() as client:
        yield from client.watch(type)


@contextmanager
def hold(type: str, ip: str, port: int) -> Iterator[Hold]:
    """As ``Client.hold``, with a client for this call."""
    with Client() as client, client.hold(type, ip, port) as held:
        yield held
