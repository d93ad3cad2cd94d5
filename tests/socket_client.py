#!/usr/bin/env python3
"""A client of the discovery service for people, scripts and tests.

In a terminal it prompts for commands; otherwise it reads them from standard input, one a line, and
prints one answer a line. ``--frames`` sends the same commands as length-prefixed JSON frames, one
connection each. ``--demo`` walks through every action in both formats and exits with 1 if an answer
is not what it should be.
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

# The client library lies beside the one in Rust.
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
    """The service is away, or answers what it must not answer."""


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
        """The next answer."""
        with failing():
            return self._connection.line(timeout)

    def stream(self, command: str) -> Iterator[str]:
        """Sends a command that is answered for as long as the connection stands."""
        yield self.ask(command)
        while True:
            yield self.line(discovery.SILENCE_MAX)

    def end_input(self) -> None:
        """Says that no further command follows."""
        self._connection.end_input()

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


@contextmanager
def failing() -> Iterator[None]:
    """Turns the errors of the client library into failures of this script."""
    try:
        yield
    except discovery.Error as error:
        raise Failure(str(error)) from error


class FrameClient:
    """Sends each command as a frame, on a connection of its own."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    def ask(self, command: str) -> str:
        """Sends one command; returns its answer as the text format would give it."""
        verb, *words = re.split("[ \t]+", command.strip(" \t"))
        names = ARGUMENTS.get(verb.lower(), ())
        if len(words) > len(names) > 0:
            # A frame has no place for a word too many, so that the service cannot refuse it.
            return " ".join(["ERROR usage:", verb.lower(), *(f"<{name}>" for name in names)])
        header, content = self.exchange(encode_frame(to_action(verb, dict(zip(names, words)))))
        text = content.decode()
        if header.get("content-type") == "text/json":
            try:
                array = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise Failure(f"the answer is no JSON: {content[:80]!r}") from error
            return array if isinstance(array, str) else text
        return f"ERROR {header.get('error', '')}".rstrip() if text == "ERROR" else text

    def exchange(self, frame: bytes) -> tuple[dict, bytes]:
        """Sends bytes; returns the header and the content of the frame that answers them."""
        with connect(self._address) as connection:
            send(connection, frame)
            with connection.makefile("rb") as answers:
                return decode_frame(answers.read())

    def close(self) -> None:
        """Nothing stays open."""


def connect(address: tuple[str, int]) -> socket.socket:
    """Connects, with a time limit on everything that follows."""
    try:
        return socket.create_connection(address, TIMEOUT_SECONDS)
    except OSError as error:
        raise Failure(f"cannot connect to {address[0]}:{address[1]}: {error}") from error


def send(connection: socket.socket, data: bytes) -> None:
    """Sends bytes. That the peer is gone must not look like an output of ours that nobody reads."""
    try:
        connection.sendall(data)
    except BrokenPipeError as error:
        raise Failure("the service closed the connection") from error


def to_bytes(text: str) -> bytes:
    """What was typed or read, byte for byte: the service judges what is no UTF-8."""
    return text.encode(errors="surrogateescape")


def to_action(verb: str, arguments: dict[str, str]) -> dict:
    """A command as the content of a frame. Only a plain number becomes one: whatever else stands
    for a port is sent as it is, so that the service can say what is wrong with it."""
    action: dict = {"action": verb.lower(), **arguments}
    if re.fullmatch("[1-9][0-9]{0,9}", arguments.get("port", "")):
        action["port"] = int(arguments["port"])
    return action


def encode_frame(action: dict) -> bytes:
    """A request as a frame."""
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
    """The header and the content of one whole frame."""
    if len(data) < 2:
        raise Failure("the service closed the connection without an answer")
    (length,) = struct.unpack(">H", data[:2])
    try:
        header = json.loads(data[2 : 2 + length])
        content = data[2 + length :]
        whole = len(content) == header["content-length"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Failure(f"the answer is no frame: {data[:80]!r}") from error
    if not whole:
        raise Failure(f"the answer is not one whole frame: {data[:80]!r}")
    return header, content


def from_terminal() -> Iterator[str]:
    """Commands that a person types."""
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
    """Commands from a file or another program. Only LF ends a line."""
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
    yield from sys.stdin


def converse(client: TextClient | FrameClient, commands: Iterator[str]) -> None:
    """Answers command after command."""
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
    """Every action in both formats, each answer checked."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    def run(self) -> None:
        """Walks through everything; raises `Failure` at the first wrong answer."""
        for name, client in (("text", TextClient(self._address)), ("frames", FrameClient(self._address))):
            print(f"# {name}")
            self._actions(client)
            client.close()
        print("# one registry behind both formats")
        self._shared_registry()
        print("# many commands at once, the last without a line end")
        self._pipeline()
        print("# leaving, holding, watching")
        self._live()
        print("# frames that are none")
        self._bad_frames()
        print("all answers are as they should be")

    def _actions(self, client: TextClient | FrameClient) -> None:
        service_type = f"demo-{uuid.uuid4()}"
        first = self._expect(client, f"register {service_type} 127.0.0.1 65433", UUID.fullmatch)
        second = self._expect(client, f"register {service_type} ::1 80", UUID.fullmatch)
        if first == second:
            raise Failure("two registrations have one UUID")
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
        if service not in json.loads(line).get(key, ()):
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
            raise Failure(f"three commands at once were answered {answers!r}")
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
    """A port that can be connected to."""
    if not re.fullmatch("[1-9][0-9]{0,4}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 1 to 65535")
    return int(text)


def parse(arguments: Optional[list[str]] = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="A client of the discovery service.")
    parser.add_argument("ip", nargs="?", default="127.0.0.1", metavar="IP")
    parser.add_argument("port", nargs="?", default=65432, type=port_number, metavar="PORT")
    parser.add_argument("--frames", action="store_true", help="send commands as JSON frames, one connection each")
    parser.add_argument("--demo", action="store_true", help="walk through every action in both formats and check it")
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
        # Whoever read the answers has seen enough.
        sys.stdout = None
    except (OSError, ValueError) as error:
        print(f"socket_client: {options.ip}:{options.port}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
