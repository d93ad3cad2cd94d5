#!/usr/bin/env python3
"""A client of the discovery service for people, scripts and tests.

In a terminal it prompts for commands; otherwise it reads one command per line from standard input.
It prints one line per answer. ``--frames`` sends the same commands as length-prefixed JSON frames,
each on its own connection. ``--demo`` tries every action in both formats and exits with 1 at the
first wrong answer.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import struct
import sys
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, Optional

# The library is in the source tree, beside the Rust client.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src" / "client" / "python"))

import discovery  # noqa: E402

TIMEOUT_SECONDS = 5.0
ARGUMENTS = {
    "register": ("type", "ip", "port"),
    "heartbeat": ("uuid",),
    "deregister": ("uuid",),
    "query": ("type",),
    "list": ("type",),
}
HINT = (
    "Commands: register <type> <ip> <port>, heartbeat <uuid>, query <type>, watch <type>; "
    "help names all of them. Leave with quit or Ctrl-D."
)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Failure(Exception):
    """The service is away, or gave a wrong answer."""


class TextClient:
    """One connection that speaks text lines."""

    def __init__(self, address: tuple[str, int]) -> None:
        with failing():
            self._connection = discovery.Connection(*address, TIMEOUT_SECONDS)

    def ask(self, command: str) -> str:
        """Sends one command and returns its answer, without the line end."""
        self.send(to_bytes(command) + b"\n")
        return self.line()

    def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        with failing():
            self._connection.send(data, TIMEOUT_SECONDS)

    def line(self, timeout: float = TIMEOUT_SECONDS) -> str:
        """Returns the next answer."""
        with failing():
            return self._connection.line(timeout)

    def stream(self, command: str) -> Iterator[str]:
        """Sends a command and yields its answers for as long as the connection is open."""
        yield self.ask(command)
        while True:
            yield self.line(discovery.SILENCE_MAX)

    def end_input(self) -> None:
        """Shuts the write side: no further command follows."""
        self._connection.end_input()

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


@contextmanager
def failing() -> Iterator[None]:
    """Turns errors of the client library into failures of this script."""
    try:
        yield
    except discovery.Error as error:
        raise Failure(str(error)) from error


class FrameClient:
    """Sends each command as a frame on its own connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    def ask(self, command: str) -> str:
        """Sends one command and returns its answer in the form of the text format."""
        verb, *words = re.split("[ \t]+", command.strip(" \t"))
        names = ARGUMENTS.get(verb.lower(), ())
        if len(words) > len(names) > 0:
            # A frame cannot carry a surplus word, so the service could not refuse it.
            return " ".join(["ERROR usage:", verb.lower(), *(f"<{name}>" for name in names)])
        header, content = self.exchange(encode_frame(to_action(verb, dict(zip(names, words)))))
        text = content.decode()
        if header.get("content-type") == "text/json":
            try:
                array = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise Failure(f"the answer is not JSON: {content[:80]!r}") from error
            return array if isinstance(array, str) else text
        return f"ERROR {header.get('error', '')}".rstrip() if text == "ERROR" else text

    def exchange(self, frame: bytes) -> tuple[dict, bytes]:
        """Sends bytes and returns the header and the content of the answer."""
        with connect(self._address) as connection:
            send(connection, frame)
            with connection.makefile("rb") as answers:
                return decode_frame(answers.read())

    def close(self) -> None:
        """Does nothing: every connection is closed after its answer."""


def connect(address: tuple[str, int]) -> socket.socket:
    """Connects, with a time limit on every later operation."""
    try:
        return socket.create_connection(address, TIMEOUT_SECONDS)
    except OSError as error:
        raise Failure(f"cannot connect to {address[0]}:{address[1]}: {error}") from error


def send(connection: socket.socket, data: bytes) -> None:
    """Sends bytes. A closed connection must not look like a closed standard output of this script."""
    try:
        connection.sendall(data)
    except BrokenPipeError as error:
        raise Failure("the service closed the connection") from error


def to_bytes(text: str) -> bytes:
    """Returns the input byte for byte: the service refuses invalid UTF-8 itself."""
    return text.encode(errors="surrogateescape")


def to_action(verb: str, arguments: dict[str, str]) -> dict:
    """Returns a command as the content of a frame. Only a plain number is sent as a number: any other
    port is sent as text, so that the service can say what is wrong with it."""
    action: dict = {"action": verb.lower(), **arguments}
    if re.fullmatch("[1-9][0-9]{0,9}", arguments.get("port", "")):
        action["port"] = int(arguments["port"])
    return action


def encode_frame(action: dict) -> bytes:
    """Encodes a request as a frame."""
    content = to_bytes(json.dumps(action, ensure_ascii=False))
    header = json.dumps(
        {
            "byteorder": sys.byteorder,
            "content-type": "text/json",
            "content-encoding": "utf-8",
            "content-length": len(content),
        }
    ).encode()
    return struct.pack(">H", len(header)) + header + content


def decode_frame(data: bytes) -> tuple[dict, bytes]:
    """Returns the header and the content of one complete frame."""
    if len(data) < 2:
        raise Failure("the service closed the connection without an answer")
    (length,) = struct.unpack(">H", data[:2])
    try:
        header = json.loads(data[2 : 2 + length])
        content = data[2 + length :]
        whole = len(content) == header["content-length"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Failure(f"the answer is not a frame: {data[:80]!r}") from error
    if not whole:
        raise Failure(f"the answer is not one complete frame: {data[:80]!r}")
    return header, content


def from_terminal() -> Iterator[str]:
    """Yields the commands that a person types."""
    try:
        import readline  # noqa: F401  (gives the prompt a history)
    except ImportError:
        pass
    print(HINT)
    while True:
        try:
            command = input("discovery> ")
        except EOFError:
            print()
            return
        yield command


def from_input() -> Iterator[str]:
    """Yields the commands from a file or another program. Only LF ends a line."""
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    yield from sys.stdin


def converse(client: TextClient | FrameClient, commands: Iterator[str]) -> None:
    """Sends each command and prints its answer."""
    for command in commands:
        command = command.rstrip("\r\n")
        verb = command.strip(" \t").split(" ")[0].lower()
        if verb == "quit":
            return
        if verb == "watch" and isinstance(client, TextClient):
            for line in client.stream(command):
                print(line, flush=True)
        elif verb:
            print(client.ask(command), flush=True)


class Demo:
    """Tries every action in both formats and checks each answer."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    def run(self) -> None:
        """Tries everything; raises `Failure` at the first wrong answer."""
        for name, client in (("text", TextClient(self._address)), ("frames", FrameClient(self._address))):
            print(f"# {name}")
            self._actions(client)
            client.close()
        print("# one registry behind both formats")
        self._shared_registry()
        print("# pipelined commands, the last without a line end")
        self._pipeline()
        print("# hold, watch, replace and re-register")
        self._live()
        print("# malformed frames")
        self._bad_frames()
        print("all answers are as they should be")

    def _actions(self, client: TextClient | FrameClient) -> None:
        service_type = f"demo-{uuid.uuid4()}"
        first = self._expect(client, f"register {service_type} 127.0.0.1 65433", UUID.fullmatch)
        second = self._expect(client, f"register {service_type} ::1 80", UUID.fullmatch)
        if first == second:
            raise Failure("two registrations have the same UUID")
        self._expect(client, f"heartbeat {first}", "OK".__eq__)
        self._expect(client, f"heartbeat {first.upper()}", "OK".__eq__)
        self._expect(client, f"heartbeat {uuid.uuid4()}", "NOT FOUND".__eq__)
        self._expect(client, "heartbeat no-uuid", "NOT FOUND".__eq__)
        both = '[{"ip":"127.0.0.1","port":65433},{"ip":"::1","port":80}]'
        self._expect(client, f"query {service_type}", both.__eq__)
        self._expect(client, f"query {service_type}-of-nobody", "[]".__eq__)
        for wrong in (
            "bogus",
            "register",
            f"register {service_type} localhost 80",
            f"register {service_type} 0.0.0.0 80",
            f"register {service_type} 127.0.0.1 0",
            f"register {service_type} 127.0.0.1 65536",
            f"register {'x' * 64} 127.0.0.1 80",
            "query",
        ):
            self._expect(client, wrong, re.compile(r"ERROR \S.*").fullmatch)
        self._expect(client, f"query {service_type}", both.__eq__)
        self._expect(client, "ping", "PONG".__eq__)
        self._expect(client, "types", lambda answer: {"type": service_type, "count": 2} in json.loads(answer))
        self._expect(client, f"list {service_type}", lambda answer: len(json.loads(answer)) == 2)
        self._expect(client, f"deregister {first}", "OK".__eq__)
        self._expect(client, f"deregister {first}", "NOT FOUND".__eq__)
        self._expect(client, f"query {service_type}", '[{"ip":"::1","port":80}]'.__eq__)
        self._expect(client, "stats", lambda answer: json.loads(answer)["registrations"] >= 1)

    def _live(self) -> None:
        service_type = f"demo-{uuid.uuid4()}"
        holder, watcher = TextClient(self._address), TextClient(self._address)
        held = self._expect(holder, f"hold {service_type} - 1", UUID.fullmatch)
        service = {"type": service_type, "ip": self._address[0], "port": 1}
        stream = watcher.stream(f"watch {service_type}")
        self._told(stream, "services", service)
        holder.close()
        self._told(stream, "down", service)
        text = TextClient(self._address)
        self._expect(text, f"why {held}", lambda answer: json.loads(answer)["reason"] == "connection closed")
        self._expect(text, f"heartbeat {held} {service_type} {self._address[0]} 1 ttl=9", "OK".__eq__)
        self._told(stream, "up", service)
        self._expect(text, f"register {service_type} - 1 ttl=9 replace", UUID.fullmatch)
        self._expect(text, f"heartbeat {held}", "NOT FOUND".__eq__)
        self._expect(text, f"query {service_type} max-age=9", lambda answer: len(json.loads(answer)) == 1)
        watcher.close()
        text.close()

    @staticmethod
    def _told(stream: Iterator[str], key: str, service: dict) -> None:
        line = next(stream)
        print(f"watch -> {line}")
        if not any(service.items() <= row.items() for row in json.loads(line).get(key, ())):
            raise Failure(f"a watcher was told {line!r}")

    def _shared_registry(self) -> None:
        service_type = f"demo-{uuid.uuid4()}"
        text, frames = TextClient(self._address), FrameClient(self._address)
        by_text = self._expect(text, f"register {service_type} 127.0.0.1 1", UUID.fullmatch)
        by_frame = self._expect(frames, f"register {service_type} 127.0.0.1 2", UUID.fullmatch)
        self._expect(frames, f"heartbeat {by_text}", "OK".__eq__)
        self._expect(text, f"heartbeat {by_frame}", "OK".__eq__)
        both = '[{"ip":"127.0.0.1","port":1},{"ip":"127.0.0.1","port":2}]'
        self._expect(text, f"query {service_type}", both.__eq__)
        self._expect(frames, f"query {service_type}", both.__eq__)
        text.close()

    def _pipeline(self) -> None:
        service_type = f"demo-{uuid.uuid4()}"
        client = TextClient(self._address)
        client.send(f"QUERY {service_type}\r\n\r\nregister {service_type} 127.0.0.1 1\nquery\t{service_type}".encode())
        client.end_input()
        answers = "\n".join(client.line() for _ in range(3))
        pattern = r"\[\]\n" + UUID.pattern + r'\n\[\{"ip":"127\.0\.0\.1","port":1\}\]'
        if not re.fullmatch(pattern, answers):
            raise Failure(f"three pipelined commands were answered {answers!r}")
        print(answers)
        client.close()

    def _bad_frames(self) -> None:
        client = FrameClient(self._address)
        for frame in (b"\x00\x00", b"\x00\x02{}", b"\x00\x04junk", encode_frame({"action": "none"})):
            header, content = client.exchange(frame)
            print(f"{frame[:24]!r} -> {content.decode()} ({header.get('error')})")
            if content != b"ERROR" or not header.get("error"):
                raise Failure(f"{frame!r} was answered {content!r}")

    @staticmethod
    def _expect(client: TextClient | FrameClient, command: str, right: Callable[[str], object]) -> str:
        answer = client.ask(command)
        print(f"{command} -> {answer}")
        if not isinstance(answer, str) or not right(answer):
            raise Failure(f"{command!r} was answered {answer!r}")
        return answer


def port_number(text: str) -> int:
    """Parses a port number that a client can connect to."""
    if not re.fullmatch("[1-9][0-9]{0,4}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def parse(arguments: Optional[list[str]] = None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description="A client of the discovery service.")
    parser.add_argument("ip", nargs="?", default="127.0.0.1", metavar="IP")
    parser.add_argument("port", nargs="?", default=65432, type=port_number, metavar="PORT")
    parser.add_argument("--frames", action="store_true", help="send commands as JSON frames, each on its own connection")
    parser.add_argument("--demo", action="store_true", help="try every action in both formats and check each answer")
    return parser.parse_args(arguments)


def main() -> int:
    """Runs the client; returns the exit status."""
    options = parse()
    address = (options.ip, options.port)
    try:
        if options.demo:
            Demo(address).run()
            return 0
        client = FrameClient(address) if options.frames else TextClient(address)
        converse(client, from_terminal() if sys.stdin.isatty() else from_input())
        client.close()
        return 0
    except Failure as failure:
        print(f"socket_client: {failure}", file=sys.stderr)
    except BrokenPipeError:
        # The reader of standard output has closed it.
        sys.stdout = None
    except (OSError, ValueError) as error:
        print(f"socket_client: {options.ip}:{options.port}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
