"""Tests of the Python client: ``DISCOVERY_BINARY=<path of discovery> python3 -m unittest`` in this folder.

They run against the real service, and where it has to misbehave, or to say what it does not say yet,
against a scripted one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import itertools
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, TypeVar
from unittest import mock

import discovery

T = TypeVar("T")

#: Seconds after which a condition will not come true any more.
PATIENCE = 15.0
#: Seconds after which a thread that was told to end will not: before a keepalive would wake it.
END_MAX = 10.0
#: Seconds that one test may take.
TEST_MAX = 90
BINARY = os.environ.get("DISCOVERY_BINARY", "")
UUID = "3999da30-2a11-463a-be8e-6b2beca7bfe6"


def setUpModule() -> None:
    if not BINARY:
        raise RuntimeError("DISCOVERY_BINARY does not say where the service is")
    for name in [name for name in os.environ if name.startswith("DISCOVERY_")]:
        del os.environ[name]


def eventually(what: str, condition: Callable[[], T]) -> T:
    """Polls a condition until it is true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"it never came true that {what}")


#: Ports below those that the kernel gives out by itself, so that nobody else has one during a restart.
PORTS = range(10_000, 20_000)
#: Processes that test at the same time begin at different ports.
NEXT_PORT = itertools.count(os.getpid() * 97)


def free_port() -> int:
    """A port on which nothing listens, told once."""
    while True:
        port = PORTS[next(NEXT_PORT) % len(PORTS)]
        try:
            socket.create_server(("127.0.0.1", port)).close()
            return port
        except OSError:
            pass


class Registry:
    """The real service, on a free port that it keeps over a restart."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self.address = f"127.0.0.1:{free_port()}"
        self.start()

    def start(self, *options: str) -> None:
        self._options = options or self._options
        self._process = subprocess.Popen(
            [BINARY, "--listen", self.address, "--tick", "20", *self._options],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said.startswith("listening on "), said
        self.address = said.split()[-1]

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def client(self, **options: Any) -> discovery.Client:
        return discovery.Client(self.address, **options)

    def places(self, type: str) -> List[Tuple[str, int]]:
        with self.client() as client:
            return [(address.ip, address.port) for address in client.query(type)]


class Script:
    """A service that answers as a test prescribes: ``answer`` gets each line and returns the answer, or
    raises ``Hangup``. ``lines`` has what was asked, on how many connections ``accepted`` says."""

    class Hangup(Exception):
        """Closes the connection."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self.lines: List[str] = []
        self.accepted = 0
        self._open: List[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("r") as lines:
            try:
                for line in lines:
                    self.lines.append(line.strip())
                    answer = self._answer(line.strip())
                    connection.sendall(answer.encode())
            except (OSError, ValueError, Script.Hangup):
                pass
            self._open.remove(connection)

    def client(self, **options: Any) -> discovery.Client:
        return discovery.Client(self.address, **options)

    def hang_up(self) -> None:
        for connection in list(self._open):
            # It may have ended by itself meanwhile.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.hang_up()


class Case(unittest.TestCase):
    def setUp(self) -> None:
        def fail(*_: object) -> None:
            raise AssertionError("the test takes too long")

        signal.signal(signal.SIGALRM, fail)
        signal.alarm(TEST_MAX)
        self.addCleanup(signal.alarm, 0)

    def registry(self, *options: str) -> Registry:
        registry = Registry(*options)
        self.addCleanup(registry.stop)
        return registry

    def script(self, answer: Callable[[str], str]) -> Script:
        script = Script(answer)
        self.addCleanup(script.close)
        return script

    def file(self, content: bytes) -> str:
        handle, path = tempfile.mkstemp()
        self.addCleanup(os.unlink, path)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        return path

    def said(self) -> List[str]:
        """What the client logs from now on at level WARNING or above."""
        lines: List[str] = []

        class Keep(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                lines.append(record.getMessage())

        handler = Keep(logging.WARNING)
        log = logging.getLogger("discovery")
        log.addHandler(handler)
        log.propagate = False
        self.addCleanup(log.removeHandler, handler)
        return lines

    def fork(self, child: Callable[[], object]) -> int:
        """Runs this in a forked child, which ends with 0 if it returns something true."""
        with warnings.catch_warnings():
            # Newer versions warn of the threads, which is what these tests are about.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            status = 1
            try:
                signal.alarm(int(PATIENCE))
                status = 0 if child() else 1
            except BaseException as error:
                print("in the child:", repr(error), file=sys.stderr)
            finally:
                os._exit(status)
        return pid

    def assert_ends_well(self, pid: int) -> None:
        self.assertEqual(os.waitpid(pid, 0)[1], 0)


class Holding(Case):
    """What keeps a service registered."""

    def test_a_hold_registers_again_after_a_restart_while_its_block_blocks(self) -> None:
        registry, said = self.registry(), self.said()
        with registry.client().hold("hive", "10.0.0.1", 80) as held:
            first = held.uuid
            self.assertEqual(registry.places("hive"), [("10.0.0.1", 80)])
            registry.restart()
            eventually("it is back", lambda: registry.places("hive") == [("10.0.0.1", 80)])
            eventually("it is told", lambda: held.uuid not in ("", first))
        self.assertEqual(registry.places("hive"), [])
        self.assertLessEqual(len(said), 1)

    def test_a_hold_that_was_replaced_says_so_once_and_registers_again_when_the_other_is_gone(self) -> None:
        registry, said = self.registry("--ttl", "1"), self.said()
        with registry.client() as client, client.hold("hive", "10.0.0.1", 80) as held:
            other = client.register("hive", "10.0.0.1", 80, ttl=60, replace=True)
            eventually("it is said", lambda: said)
            self.assertEqual(held.uuid, "")
            self.assertFalse(held.check())
            self.assertFalse(held.check())
            self.assertEqual(registry.places("hive"), [("10.0.0.1", 80)])
            self.assertTrue(client.heartbeat(other))
            client.deregister(other)
            eventually("it is back", lambda: registry.places("hive") == [("10.0.0.1", 80)])
            eventually("it is told", lambda: held.uuid)
            self.assertTrue(held.check())
            self.assertEqual(len(said), 1, said)
            self.assertIn("another registration has replaced this one", said[0])

    def test_a_hold_that_was_replaced_stays_aside_also_after_its_connection_has_failed(self) -> None:
        why = [
            '{"state":"live","ip":"10.0.0.1","port":80,"ttl_ms":300}',
            '{"state":"gone","reason":"replaced"}',
        ]

        def answer(line: str) -> str:
            verb = line.split()[0]
            if verb == "hold":
                return UUID + "\n"
            if verb == "query":
                return '[{"ip":"10.0.0.1","port":80}]\n'
            # The registry has restarted meanwhile, and has forgotten the reason.
            return (why.pop(0) if verb == "why" and why else "NOT FOUND") + "\n"

        self.said()
        script = self.script(answer)
        with script.client().hold("hive", "10.0.0.1", 80) as held:
            eventually("it has asked who is there", lambda: script.lines.count("query hive") == 1)
            script.hang_up()
            eventually("it is there again", lambda: script.accepted == 2)
            asked = script.lines.count("query hive")
            eventually("it has asked again", lambda: script.lines.count("query hive") > asked)
            self.assertEqual(held.uuid, "")
            self.assertEqual(script.lines.count("hold hive 10.0.0.1 80"), 1)

    def test_a_hold_that_was_deregistered_registers_again(self) -> None:
        registry = self.registry("--ttl", "1")
        with registry.client() as client, client.hold("hive", "10.0.0.1", 80) as held:
            first = held.uuid
            self.assertTrue(client.deregister(first))
            eventually("it is back", lambda: held.uuid not in ("", first))
            self.assertEqual(registry.places("hive"), [("10.0.0.1", 80)])

    def test_a_registration_is_proved_over_and_over_every_third_of_its_ttl(self) -> None:
        def answer(line: str) -> str:
            if line.startswith("why"):
                return '{"state":"live","ip":"10.0.0.1","port":80,"ttl_ms":300}\n'
            return "OK\n" if line.startswith("heartbeat") else UUID + "\n"

        script = self.script(answer)
        with script.client().hold("hive", "10.0.0.1", 80):
            begun = time.monotonic()
            eventually("ten proofs", lambda: script.lines.count(f"heartbeat {UUID}") >= 10)
            self.assertGreater(time.monotonic() - begun, 0.5)

    def test_a_stopped_registry_is_left_for_another_connection_and_no_double_stays(self) -> None:
        registry, said = self.registry("--ttl", "3"), self.said()
        with registry.client(timeout=0.5).hold("hive", "10.0.0.1", 80) as held:
            registry.signal(signal.SIGSTOP)
            eventually("the loss is said", lambda: said)
            self.assertEqual(held.uuid, "")
            registry.signal(signal.SIGCONT)
            eventually("it is back", lambda: held.uuid)
            eventually("there is one", lambda: registry.places("hive") == [("10.0.0.1", 80)])

    def test_leaving_the_block_ends_the_registration_at_once_though_a_child_lives(self) -> None:
        registry = self.registry()
        with registry.client().hold("hive", "10.0.0.1", 80):
            child = self.fork(lambda: time.sleep(PATIENCE))
        try:
            self.assertEqual(registry.places("hive"), [])
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def test_leaving_the_block_ends_it_though_a_child_has_inherited_the_connection_unnoticed(self) -> None:
        registry = self.registry()
        with registry.client().hold("hive", "10.0.0.1", 80) as held:
            assert held._lease is not None
            # As a fork that runs no handlers of Python leaves it.
            os.set_inheritable(held._lease.connection.fileno(), True)
            child = subprocess.Popen(["sleep", str(PATIENCE)], close_fds=False)
        try:
            self.assertEqual(registry.places("hive"), [])
        finally:
            child.kill()
            child.wait()

    def test_a_child_that_leaves_the_block_does_not_end_the_registration(self) -> None:
        registry = self.registry()
        client = registry.client()
        with client.hold("hive", "10.0.0.1", 80) as held:
            def leave() -> bool:
                held.close()
                try:
                    held.check()
                except ValueError:
                    return held.uuid == ""
                return False

            self.assert_ends_well(self.fork(leave))
            self.assertEqual(registry.places("hive"), [("10.0.0.1", 80)])
            self.assertTrue(held.check())

    def test_the_registration_ends_with_the_process_that_made_it_though_its_child_lives(self) -> None:
        registry = self.registry()
        script = (
            "import discovery, os, sys, time\n"
            "held = discovery.hold('hive', '10.0.0.1', 80)\n"
            "pid = os.fork()\n"
            "if pid == 0: time.sleep(60)\n"
            "print(pid, flush=True)\n"
            "sys.stdin.read()\n"
        )
        parent = subprocess.Popen(
            [sys.executable, "-c", script], env={**os.environ, "DISCOVERY_SERVER": registry.address},
            cwd=os.path.dirname(discovery.__file__), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        assert parent.stdin is not None and parent.stdout is not None
        with parent.stdin, parent.stdout:
            child = int(parent.stdout.readline())
            try:
                self.assertEqual(registry.places("hive"), [("10.0.0.1", 80)])
                parent.kill()
                parent.wait()
                eventually("it is gone", lambda: registry.places("hive") == [])
                os.kill(child, 0)
            finally:
                os.kill(child, signal.SIGKILL)

    def test_its_thread_ends_with_the_block(self) -> None:
        registry = self.registry()
        before = threading.active_count()
        with registry.client().hold("hive", "10.0.0.1", 80):
            self.assertGreater(threading.active_count(), before)
        self.assertEqual(threading.active_count(), before)

    def test_it_ends_while_the_registry_is_away(self) -> None:
        registry = self.registry()
        self.said()
        before = threading.active_count()
        with registry.client(timeout=0.5).hold("hive", "10.0.0.1", 80) as held:
            registry.signal(signal.SIGSTOP)
            self.assertFalse(held.check())
        registry.signal(signal.SIGCONT)
        eventually("its thread ends", lambda: threading.active_count() == before)
        self.assertEqual(registry.places("hive"), [])

    def test_a_hold_that_is_refused_at_first_raises(self) -> None:
        registry = self.registry("--max-services", "1")
        with registry.client() as client:
            client.register("hive", "10.0.0.1", 80)
            before = threading.active_count()
            with self.assertRaisesRegex(discovery.Refused, "registry full"):
                client.hold("hive", "10.0.0.2", 80)
            self.assertEqual(threading.active_count(), before)

    def test_tags_metadata_and_options_are_sent_and_sent_again(self) -> None:
        def answer(line: str) -> str:
            if line.startswith("hold"):
                return UUID + "\n"
            return "OK\n" if line.startswith("update") else "NOT FOUND\n"

        script = self.script(answer)
        client = script.client()
        with client.hold("hive", "-", 80, 60, True, ["blue"], {"version": "2", "empty": ""}) as held:
            hold = "hold hive - 80 ttl=60 replace tag=blue meta.version=2 meta.empty="
            self.assertEqual(script.lines[0], hold)
            self.assertTrue(held.update(["green"]))
            self.assertEqual(script.lines[-1], f"update {UUID} tag=green")
            # The registry does not know the UUID.
            self.assertTrue(held.check())
            self.assertIn("hold hive - 80 ttl=60 replace tag=green", script.lines)


class Verbs(Case):
    """Each verb and option, as the real service understands it."""

    def described(self, registry: Registry, type: str) -> List[Tuple[Any, ...]]:
        """What the registry knows of each: address, TTL, tags and metadata, and whether it is held."""
        with registry.client() as client:
            return [
                (f"{one['ip']}:{one['port']}", one["ttl_ms"], one["tags"], one["meta"], one["held"])
                for one in client.list(type)
            ]

    def test_a_registration_has_the_ttl_the_tags_and_the_metadata_that_it_was_given(self) -> None:
        registry = self.registry()
        with registry.client() as client:
            client.register("hive", "10.0.0.1", 80, 60, tags=["blue", "a=b"], meta={"k": "v", "e": ""})
            expected = ("10.0.0.1:80", 60_000, ["blue", "a=b"], {"k": "v", "e": ""}, False)
            self.assertEqual(self.described(registry, "hive"), [expected])
            client.register("hive", "10.0.0.1", 80, replace=True)
            self.assertEqual(self.described(registry, "hive"), [("10.0.0.1:80", 30_000, [], {}, False)])
            with self.assertRaisesRegex(discovery.Refused, "64"):
                client.register("hive", "10.0.0.1", 80, tags=map(str, range(65)))

    def test_a_query_answers_those_that_have_all_that_is_asked_for(self) -> None:
        registry = self.registry()
        with registry.client() as client:
            for number, tags, meta in (
                (1, ["blue", "new"], {"v": "1"}), (2, ["blue"], {"v": "2"}), (3, [], {"v": "1"}),
            ):
                client.register("hive", f"10.0.0.{number}", 80, tags=tags, meta=meta)

            def found(**options: Any) -> List[str]:
                return [address.ip[-1] for address in client.query("hive", **options)]

            self.assertEqual(found(tags=["blue"]), ["1", "2"])
            self.assertEqual(found(tags=["new", "blue"]), ["1"])
            self.assertEqual(found(meta={"v": "1"}), ["1", "3"])
            self.assertEqual(found(tags=["blue"], meta={"v": "2"}, max_age=60), ["2"])
            self.assertEqual(found(tags=["green"]), [])
            self.assertEqual(found(limit=4096), ["1", "2", "3"])
            drawn = {tuple(found(limit=2)) for _ in range(200)}
            self.assertEqual(drawn, {("1", "2"), ("1", "3"), ("2", "3")})
            self.assertEqual(found(tags=["new"], limit=2), ["1"])

    def test_an_update_replaces_all_tags_and_metadata_and_watchers_are_told(self) -> None:
        registry = self.registry()
        with registry.client() as client, client.watch("hive") as watcher:
            self.assertEqual(next(watcher), [])
            uuid = client.register("hive", "10.0.0.1", 80, tags=["blue"], meta={"k": "v"})
            (first,) = next(watcher)
            self.assertEqual((first.tags, first.meta), (("blue",), {"k": "v"}))
            self.assertEqual(first.id, client.list("hive")[0]["id"])
            self.assertTrue(client.update(uuid, ["green"]))
            (second,) = next(watcher)
            self.assertEqual((second.id, second.tags, second.meta), (first.id, ("green",), {}))
            self.assertEqual(client.query("hive", tags=["blue"]), [])
            self.assertTrue(client.update(uuid))
            self.assertEqual(next(watcher)[0].tags, ())
            client.deregister(uuid)
            self.assertEqual(next(watcher), [])
            self.assertEqual([one.reason for one in watcher.down], ["deregistered"])
            self.assertFalse(client.update(uuid, ["green"]))

    def test_a_registration_is_revived_under_its_uuid_after_a_restart(self) -> None:
        registry = self.registry()
        with registry.client() as client:
            uuid = client.register("hive", "10.0.0.1", 80)
            id = client.list("hive")[0]["id"]
            registry.restart()
            self.assertFalse(client.heartbeat(uuid))
            ip = ipaddress.ip_address("10.0.0.1")
            client.revive(uuid, "hive", ip, 80, 60, ["blue"], {"k": "v"})
            expected = ("10.0.0.1:80", 60_000, ["blue"], {"k": "v"}, False)
            self.assertEqual(self.described(registry, "hive"), [expected])
            self.assertEqual(client.list("hive")[0]["id"], id)
            client.revive(uuid, "hive", "10.0.0.1", 80, tags=["green"])
            self.assertEqual(self.described(registry, "hive"), [expected])
            self.assertTrue(client.heartbeat(uuid))
            with self.assertRaisesRegex(discovery.Refused, "another service has this UUID"):
                client.revive(uuid, "hive", "10.0.0.2", 80)
            with self.assertRaises(discovery.Refused):
                client.revive("00000000-0000-0000-0000-000000000000", "hive", "10.0.0.2", 80)

    def test_a_hold_is_held_with_what_it_was_given_also_after_a_restart(self) -> None:
        registry = self.registry("--ttl", "1")
        self.said()
        client = registry.client()
        self.addCleanup(client.close)
        client.register("hive", "10.0.0.1", 80, ttl=60)
        with client.hold("hive", "10.0.0.1", 80, replace=True, tags=["blue"], meta={"k": "v"}) as held:
            self.assertEqual(
                self.described(registry, "hive"), [("10.0.0.1:80", 1000, ["blue"], {"k": "v"}, True)]
            )
            self.assertTrue(held.update(["green"], {"e": ""}))
            expected = [("10.0.0.1:80", 1000, ["green"], {"e": ""}, True)]
            self.assertEqual(self.described(registry, "hive"), expected)
            registry.restart()
            eventually("it is back", lambda: self.described(registry, "hive") == expected)

    def test_several_servers_are_asked_for_what_has_tags_too(self) -> None:
        first, second = self.registry(), self.registry()
        with second.client() as there:
            there.register("hive", "10.0.0.1", 80, tags=["blue"])
            uuid = there.register("hive", "10.0.0.2", 80)
        with discovery.Client([first.address, second.address]) as client:
            self.assertEqual(client.query("hive", tags=["blue"]), [("10.0.0.1", 80)])
            self.assertTrue(client.update(uuid, ["blue"]))
            self.assertEqual(len(client.query("hive", tags=["blue"], limit=3)), 2)
            # The first that answers takes whom it does not know.
            client.revive(uuid, "hive", "10.0.0.2", 80, tags=["blue"])
            self.assertEqual(first.places("hive"), [("10.0.0.2", 80)])

    def test_the_functions_of_the_module_take_what_the_methods_take(self) -> None:
        registry = self.registry()
        with mock.patch.dict(os.environ, {"DISCOVERY_SERVER": registry.address}):
            uuid = discovery.register("hive", "10.0.0.1", 80, 60, tags=["blue"], meta={"k": "v"})
            self.assertEqual(discovery.query("hive", 60, ["blue"], {"k": "v"}, 1), [("10.0.0.1", 80)])
            self.assertTrue(discovery.update(uuid, ["green"]))
            self.assertTrue(discovery.deregister(uuid))
            discovery.revive(uuid, "hive", "10.0.0.1", 80, 60, ["blue"])
            self.assertTrue(discovery.heartbeat(uuid))
            with discovery.hold("hive", "10.0.0.2", 80, 60, True, ["blue"], {"k": "v"}):
                self.assertEqual(len(discovery.query("hive", tags=["blue"])), 2)
            (told,) = discovery.watch("hive", timeout=0.3)
            self.assertEqual(told[0].tags, ("blue",))


class Nodes:
    """Servers that act like the nodes of one cluster. What one knows, the others know at once, or when
    ``deliver`` is called if ``is_slow``."""

    def __init__(self, case: Case, count: int) -> None:
        self.is_slow = False
        self.silent: List[int] = []
        #: What a node answers to everything but ``ping``.
        self.refusals: Dict[int, str] = {}
        self._next = 0
        #: The UUIDs that each node knows.
        self.known: List[List[str]] = [[] for _ in range(count)]
        self._changes: List[Callable[[], None]] = []
        self.scripts = [case.script(functools.partial(self._answer, node)) for node in range(count)]
        self.addresses = [script.address for script in self.scripts]

    def register(self, node: int) -> str:
        self._next += 1
        uuid = f"00000000-0000-4000-8000-{self._next:012}"
        self.known[node] = [uuid]
        # One place: the new registration has the place of the old one.
        for other, known in enumerate(self.known):
            if other != node:
                self._changes.append(functools.partial(known.__setitem__, slice(None), [uuid]))
        if not self.is_slow:
            self.deliver()
        return uuid

    def deliver(self) -> None:
        changes, self._changes = self._changes, []
        for change in changes:
            change()

    def heard(self, node: int, *verbs: str) -> List[str]:
        """The commands of these verbs that a node got."""
        return [line for line in self.scripts[node].lines if line.split()[0] in verbs]

    def _answer(self, node: int, line: str) -> str:
        verb, _, rest = line.partition(" ")
        if node in self.silent:
            return ""
        if verb == "ping":
            return "PONG\n"
        if node in self.refusals:
            return f"ERROR {self.refusals[node]}\n"
        if verb in ("hold", "register"):
            return self.register(node) + "\n"
        if verb == "query":
            return "[]\n"
        if rest not in self.known[node]:
            return "NOT FOUND\n"
        if verb == "why":
            return '{"state":"live","ip":"10.0.0.1","port":80,"ttl_ms":3000}\n'
        if verb == "deregister":
            self.known[node].remove(rest)
        return "OK\n"


class Servers(Case):
    """Several servers."""

    def test_a_heartbeat_goes_to_the_next_node_and_nothing_is_registered_anew(self) -> None:
        nodes = Nodes(self, 2)
        uuid = nodes.register(0)
        with discovery.Client(nodes.addresses, timeout=6) as client:
            self.assertTrue(client.heartbeat(uuid))
            nodes.silent = [0]
            self.assertTrue(client.heartbeat(uuid))
            self.assertTrue(client.heartbeat(uuid))
        for node in (0, 1):
            self.assertEqual(nodes.heard(node, "heartbeat"), 2 * [f"heartbeat {uuid}"])
            self.assertEqual(nodes.heard(node, "register", "deregister"), [])

    def test_the_next_node_is_asked_when_one_is_not_ready(self) -> None:
        nodes = Nodes(self, 2)
        uuid = nodes.register(0)
        nodes.refusals[0] = "not ready: it loads what the cluster knows"
        with discovery.Client(nodes.addresses) as client:
            self.assertTrue(client.heartbeat(uuid))
            self.assertEqual(client.query("hive"), [])
            client.register("hive", "10.0.0.1", 80)
            with client.hold("hive", "10.0.0.1", 80):
                self.assertEqual(len(nodes.heard(1, "hold")), 1)
        nodes.refusals = {0: "not ready", 1: "not ready"}
        self.said()
        with discovery.Client(nodes.addresses).watch("hive") as watcher:
            self.assertIsNone(watcher.next_within(0.5), "it waits")

    def test_a_hold_takes_its_own_place_at_the_next_node_and_goes_home_without_an_end(self) -> None:
        nodes = Nodes(self, 2)
        self.said()
        nodes.silent = [0]
        client = discovery.Client(nodes.addresses, timeout=6)
        with client.hold("hive", "10.0.0.1", 80) as held:
            uuid = held.uuid
            self.assertEqual(nodes.known[1], [uuid])
            nodes.is_slow, nodes.silent = True, []
            nodes.scripts[1].lines.clear()
            eventually("it is at home", lambda: nodes.heard(0, "hold") and held.uuid != uuid)
            # The node that it has left does not know yet, for which the end of the connection were its end.
            asked = len(nodes.heard(1, "heartbeat"))
            eventually("it is asked again", lambda: len(nodes.heard(1, "heartbeat")) > asked + 1)
            self.assertEqual(len(nodes.scripts[1]._open), 1)
            nodes.deliver()
            eventually("it has left", lambda: not nodes.scripts[1]._open)
            self.assertEqual(nodes.known, [[held.uuid], [held.uuid]])
        self.assertEqual(nodes.heard(0, "deregister") + nodes.heard(1, "deregister"), [])

    def test_a_hold_leaves_a_silent_server_within_its_ttl(self) -> None:
        other = self.registry()
        self.said()
        for is_cluster in (True, False):
            nodes = Nodes(self, 2)
            servers = nodes.addresses if is_cluster else [nodes.addresses[0], other.address]
            # The time limit is much longer than the TTL of 3 s.
            with discovery.Client(servers, timeout=60).hold("hive", "10.0.0.1", 80) as held:
                uuid = held.uuid
                self.assertEqual(nodes.known[0], [uuid])
                nodes.is_slow, nodes.silent = True, [0]
                eventually("it has moved", lambda: held.uuid not in ("", uuid))
                if is_cluster:
                    self.assertEqual(nodes.known, [[uuid], [held.uuid]], "it has taken the place")
                    eventually("it is proved", lambda: len(nodes.heard(1, "heartbeat")) > 1)
                    self.assertEqual(len(nodes.scripts[0]._open), 1, "for a slow node it goes on")
                    self.assertEqual(nodes.heard(1, "deregister"), [])
                else:
                    self.assertEqual(other.places("hive"), [("10.0.0.1", 80)])
                    eventually("it has left", lambda: not nodes.scripts[0]._open)

    def test_a_hold_that_comes_back_is_taken_over_before_its_earlier_one_is_removed(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            registry = self.registry("--state", os.path.join(folder, "state"))
            self.said()
            with registry.client() as client, client.hold("hive", "10.0.0.1", 80) as held:
                (before,) = client.list("hive")
                uuid = held.uuid
                registry.restart()
                eventually("it is back", lambda: held.uuid not in ("", uuid))
                (after,) = client.list("hive")
                self.assertEqual(after["id"], before["id"], "watchers are told nothing")
            registry.stop()
            registry.start("--ttl", "30")

    def test_an_empty_registry_is_not_believed_before_the_next_has_been_asked(self) -> None:
        empty, full = self.registry(), self.registry()
        with full.client() as there:
            uuid = there.register("hive", "10.0.0.1", 80)
        with discovery.Client([empty.address, full.address]) as client:
            self.assertEqual(client.query("hive"), [("10.0.0.1", 80)])
            self.assertEqual(client.types(), {"hive": 1})
            self.assertEqual(len(client.list("hive")), 1)
            why = client.why(uuid)
            assert why is not None
            self.assertEqual(why["state"], "live")
            self.assertTrue(client.heartbeat(uuid))
            self.assertTrue(client.deregister(uuid))
            self.assertFalse(client.heartbeat(uuid))
            self.assertEqual(client.query("hive"), [])
            full.stop()
            self.assertEqual(client.query("hive"), [])
            self.assertFalse(client.heartbeat(uuid))
            full.start()

    def test_who_writes_is_registered_at_the_first_that_answers(self) -> None:
        first, second = self.registry(), self.registry()
        with discovery.Client(f"{first.address},{second.address}", timeout=6) as client:
            client.register("hive", "10.0.0.1", 80)
            first.signal(signal.SIGSTOP)
            client.register("hive", "10.0.0.2", 80)
            first.signal(signal.SIGCONT)
            self.assertEqual(first.places("hive"), [("10.0.0.1", 80)])
            self.assertEqual(second.places("hive"), [("10.0.0.2", 80)])

    def test_a_registration_that_may_have_been_made_is_not_made_elsewhere(self) -> None:
        def answer(line: str) -> str:
            if line == "ping":
                return "PONG\n"
            raise Script.Hangup

        script, other = self.script(answer), self.registry()
        with discovery.Client([script.address, other.address]) as client:
            with self.assertRaises(discovery.Broken):
                client.register("hive", "10.0.0.1", 80)
            self.assertEqual(other.places("hive"), [])

    def test_a_full_registry_is_passed_over(self) -> None:
        full, other = self.registry("--max-services", "1"), self.registry()
        with full.client() as there:
            there.register("hive", "10.0.0.1", 80)
        with discovery.Client([full.address, other.address]) as client:
            client.register("hive", "10.0.0.2", 80)
            with client.hold("hive", "10.0.0.3", 80):
                self.assertEqual(other.places("hive"), [("10.0.0.2", 80), ("10.0.0.3", 80)])

    def test_a_server_that_has_just_failed_is_asked_last(self) -> None:
        silent, other = self.script(lambda line: ""), self.registry()
        with discovery.Client([silent.address, other.address], timeout=6) as client:
            client.query("hive")
            asked = len(silent.lines)
            with other.client() as there:
                there.register("hive", "10.0.0.1", 80)
            self.assertEqual(client.query("hive"), [("10.0.0.1", 80)])
            self.assertEqual(len(silent.lines), asked)

    def test_a_hold_moves_to_the_next_registry_and_goes_home(self) -> None:
        home, other = self.registry("--ttl", "1"), self.registry("--ttl", "1")
        self.said()
        servers = [home.address, other.address]
        with discovery.Client(servers) as client, client.hold("hive", "10.0.0.1", 80):
            self.assertEqual(home.places("hive"), [("10.0.0.1", 80)])
            home.stop()
            eventually("it is at the next", lambda: other.places("hive") == [("10.0.0.1", 80)])
            self.assertEqual(client.query("hive"), [("10.0.0.1", 80)])
            home.start()
            eventually("it is at home", lambda: home.places("hive") == [("10.0.0.1", 80)])
            eventually("it has left", lambda: other.places("hive") == [])
        self.assertEqual(home.places("hive") + other.places("hive"), [])

    def test_a_watch_of_two_registries_sees_no_service_vanish_that_moves(self) -> None:
        home, other = self.registry("--ttl", "1"), self.registry("--ttl", "1")
        self.said()
        client = discovery.Client([home.address, other.address])
        with client.watch("hive") as watcher, client.hold("hive", "10.0.0.1", 80):
            lists = [watcher.next_within(PATIENCE)]
            lists += [watcher.next_within(PATIENCE)] if lists == [[]] else []
            self.assertEqual(lists[-1], [("hive", "10.0.0.1", 80)])
            home.stop()
            eventually("it is at the next", lambda: other.places("hive"))
            home.start()
            eventually("it has left", lambda: home.places("hive") and not other.places("hive"))
            with home.client() as there:
                there.register("hive", "10.0.0.2", 80)
            expected = [("hive", "10.0.0.1", 80), ("hive", "10.0.0.2", 80)]
            self.assertEqual(watcher.next_within(PATIENCE), expected)

    def test_a_watch_of_two_nodes_tells_nothing_when_one_hangs_up_and_is_not_ready(self) -> None:
        left = [SNAPSHOT % (7, row(1))]
        leaving = self.script(lambda line: left.pop() if left else "ERROR not ready\n")
        staying = self.script(lambda line: SNAPSHOT % (900, row(1)))
        self.said()
        client = discovery.Client([leaving.address, staying.address])
        with client.watch("hive", grace=0) as watcher:
            self.assertEqual(next(watcher), [("hive", "10.0.0.1", 80)])
            def quiet_until(what: str, condition: Callable[[], object]) -> None:
                def is_so() -> object:
                    self.assertIsNone(watcher.next_within(0.01), what)
                    return condition()

                eventually(what, is_so)

            quiet_until("both are asked", lambda: staying.lines)
            leaving.hang_up()
            quiet_until("it is asked again", lambda: leaving.accepted > 2)
            self.assertIsNone(watcher.next_within(0.3))

    def test_a_watch_believes_no_empty_registry_before_the_next_was_asked(self) -> None:
        empty, full = self.registry(), self.registry()
        with full.client() as there:
            there.register("hive", "10.0.0.1", 80)
        with discovery.Client([empty.address, full.address]).watch("hive") as watcher:
            self.assertEqual(next(watcher), [("hive", "10.0.0.1", 80)])


SNAPSHOT = '{"index":%d,"services":[%s]}\n'


def row(number: int, **more: str) -> str:
    """A service of a watch as a modern registry tells it."""
    extra = "".join(f',"{key}":{value}' for key, value in more.items())
    return f'{{"id":"{number:016x}","type":"hive","ip":"10.0.0.{number}","port":80{extra}}}'


class Watching(Case):
    """Lists of live services."""

    hang_up: Callable[[], None]

    def watch(self, *connections: str, grace: float = discovery.GRACE) -> discovery.Watcher:
        """A watch of a registry that sends this on its connections, one after the other."""
        left = list(connections)
        script = self.script(lambda line: left.pop(0))
        watcher = script.client().watch("hive", grace=grace)
        self.addCleanup(watcher.close)
        self.hang_up = script.hang_up
        return watcher

    def numbers(self, services: Optional[List[discovery.Service]]) -> Optional[List[int]]:
        return None if services is None else [int(one.ip.split(".")[-1]) for one in services]

    def test_a_watch_waits_for_a_registry_that_is_not_there_yet_and_says_so_once(self) -> None:
        said, address = self.said(), f"127.0.0.1:{free_port()}"
        with discovery.Client(address).watch("hive") as watcher:
            self.assertIsNone(watcher.next_within(1))
            self.assertEqual(len(said), 1, said)
            self.assertIn(address, said[0])
            registry = Registry.__new__(Registry)
            registry._options, registry.address = (), address
            registry.start()
            self.addCleanup(registry.stop)
            self.assertEqual(watcher.next_within(PATIENCE), [])
            self.assertEqual(len(said), 1, said)

    def test_a_restart_of_the_registry_takes_nobody_away_who_comes_back(self) -> None:
        registry = self.registry()
        self.said()
        client = registry.client()
        lists: List[Optional[List[int]]] = []
        holds = [client.hold("hive", f"10.0.0.{number}", 80) for number in (1, 2)]
        with client, client.watch("hive", grace=10) as watcher, holds[0]:
            thread = threading.Thread(target=lambda: lists.extend(map(self.numbers, watcher)))
            thread.start()
            eventually("both are told", lambda: lists == [[1, 2]])
            # Away for a moment, and until the watch and both holders have noticed.
            connected: List[Callable[[], object]] = [
                lambda: watcher._streams[0].is_current, lambda: holds[0].uuid, lambda: holds[1].uuid
            ]
            for is_noticed in (False, True):
                registry.stop()
                if is_noticed:
                    eventually("they notice", lambda: not any(is_there() for is_there in connected))
                registry.start()
                eventually("both are back", lambda: len(registry.places("hive")) == 2)
                eventually("all are back", lambda: all(is_there() for is_there in connected))
            holds[1].close()
            eventually("one is gone", lambda: lists[-1] == [1])
            self.assertEqual(lists, [[1, 2], [1]])
        thread.join()

    def test_who_does_not_come_back_is_unconfirmed_for_the_grace_time_and_then_down(self) -> None:
        registry = self.registry()
        self.said()
        with registry.client() as client, client.watch("hive", grace=0.7) as watcher:
            client.register("hive", "10.0.0.1", 80)
            eventually("it is told", lambda: watcher.next_within(0.1))
            registry.restart()
            client.register("hive", "10.0.0.2", 80)
            told = watcher.next_within(PATIENCE)
            assert told is not None
            self.assertEqual(self.numbers(told), [1, 2])
            self.assertEqual([one.confirmed for one in told], [False, True])
            self.assertEqual(self.numbers(watcher.next_within(PATIENCE)), [2])
            self.assertEqual(watcher.down, [("hive", "10.0.0.1", 80)])

    def test_the_grace_time_does_not_pass_while_the_registry_is_away(self) -> None:
        registry = self.registry()
        self.said()
        with registry.client() as client, client.watch("hive", grace=0.2) as watcher:
            client.register("hive", "10.0.0.1", 80)
            eventually("it is told", lambda: watcher.next_within(0.1))
            registry.stop()
            self.assertIsNone(watcher.next_within(1))
            registry.start()
            self.assertEqual(watcher.next_within(PATIENCE), [])

    def test_new_ids_for_the_same_places_are_no_change(self) -> None:
        watcher = self.watch(
            SNAPSHOT % (1, row(1)), SNAPSHOT % (2, row(1).replace('"id":"0', '"id":"f')), grace=0.1
        )
        self.said()
        self.assertEqual(self.numbers(next(watcher)), [1])
        self.hang_up()
        self.assertIsNone(watcher.next_within(1))

    def test_a_watch_ends_after_its_timeout(self) -> None:
        registry = self.registry()
        self.assertEqual(list(registry.client().watch("hive", timeout=0.3)), [[]])

    def test_another_thread_can_end_a_watch(self) -> None:
        registry = self.registry()
        watcher = registry.client().watch("hive")
        self.assertEqual(next(watcher), [])
        lists: List[object] = []
        waits, wait = threading.Event(), watcher._wait

        def tell_and_wait(deadline: float) -> None:
            waits.set()
            wait(deadline)

        thread = threading.Thread(target=lambda: lists.extend(watcher))
        with mock.patch.object(watcher, "_wait", tell_and_wait):
            thread.start()
            waits.wait()
            watcher.close()
            thread.join(END_MAX)
        self.assertFalse(thread.is_alive())
        self.assertEqual(lists, [])
        self.assertEqual(list(watcher), [])

    def test_nothing_within_a_time_is_none_and_the_watch_goes_on(self) -> None:
        registry = self.registry()
        with registry.client() as client, client.watch() as watcher:
            self.assertEqual(watcher.next_within(PATIENCE), [])
            self.assertIsNone(watcher.next_within(0.01))
            client.register("hive", "10.0.0.1", 80)
            self.assertEqual(self.numbers(watcher.next_within(PATIENCE)), [1])

    def test_a_child_goes_on_with_a_connection_of_its_own(self) -> None:
        registry = self.registry()
        client = registry.client()
        with client, client.watch("hive") as watcher:
            self.assertEqual(next(watcher), [])
            self.assertEqual(client.query("hive"), [])

            def child() -> bool:
                client.register("hive", "10.0.0.1", 80)
                return next(watcher) == [("hive", "10.0.0.1", 80)]

            # Another thread uses the client at the time of the fork.
            with client._turn(time.monotonic() + PATIENCE):
                pid = self.fork(child)
            self.assert_ends_well(pid)
            self.assertEqual(self.numbers(next(watcher)), [1])
            self.assertEqual(client.query("hive"), [("10.0.0.1", 80)])

    def test_a_snapshot_in_parts_is_told_when_it_is_whole(self) -> None:
        watcher = self.watch(
            '{"index":5,"part":1,"more":true,"services":[%s,%s]}\n' % (row(1), row(2))
            + '{"index":6,"up":[%s],"down":[%s,%s]}\n' % (row(7), row(1), row(9))
            + '{"index":6,"part":2,"more":true,"services":[%s]}\n' % row(3)
        )
        self.assertIsNone(watcher.next_within(0.3))
        watcher = self.watch(
            '{"index":5,"part":1,"more":true,"services":[%s,%s]}\n' % (row(1), row(2))
            + '{"index":6,"up":[%s],"down":[%s,%s]}\n' % (row(7), row(1), row(9))
            + '{"index":6,"part":2,"more":true,"services":[%s]}\n' % row(3)
            + '{"index":6,"part":3,"services":[%s]}\n' % row(4)
        )
        self.assertEqual(self.numbers(next(watcher)), [2, 3, 4, 7])

    def test_a_watcher_that_has_lagged_keeps_the_old_list_until_the_parts_are_whole(self) -> None:
        watcher = self.watch(
            SNAPSHOT % (1, row(1)) + '{"index":5,"part":1,"more":true,"services":[%s]}\n' % row(2)
        )
        self.assertEqual(self.numbers(next(watcher)), [1])
        self.assertIsNone(watcher.next_within(0.1))

    def test_several_lines_can_have_the_same_index(self) -> None:
        watcher = self.watch(
            SNAPSHOT % (1, "") + '{"index":2,"up":[%s],"down":[]}\n' % row(1)
            + '{"index":2,"up":[%s],"down":[]}\n' % row(2)
        )
        self.assertEqual(self.numbers(next(watcher)), [1, 2])

    def test_a_change_of_tags_is_a_change_and_no_second_service(self) -> None:
        first = row(1, tags='["blue"]', meta='{"version":"2"}')
        second = row(1, tags='["green"]')
        lines = [SNAPSHOT % (1, first), '{"index":2,"up":[%s],"down":[]}\n' % second]
        watcher = self.watch("".join(lines))
        (one,) = next(watcher)
        self.assertEqual((one.tags, one.meta), (("green",), {}))

        watcher = self.watch(lines[0], SNAPSHOT % (2, second))
        self.said()
        (one,) = next(watcher)
        self.assertEqual((one.id, one.tags, one.meta), ("0" * 15 + "1", ("blue",), {"version": "2"}))
        self.hang_up()
        (one,) = next(watcher)
        self.assertEqual((one.tags, one.confirmed), (("green",), True))
        self.assertEqual(watcher.down, [])

    def test_the_reason_of_a_removal_is_told(self) -> None:
        down = '{"index":2,"up":[],"down":[%s]}\n' % row(1, reason='"expired"')
        script = self.script(lambda line: SNAPSHOT % (1, row(1)) if line.startswith("watch") else down)
        with script.client().watch("hive") as watcher:
            self.assertEqual(self.numbers(next(watcher)), [1])
            connection = watcher._streams[0].connection
            assert connection is not None
            connection.send(b"go on\n", 1)
            self.assertEqual(next(watcher), [])
            (gone,) = watcher.down
            self.assertEqual((gone, gone.reason), (("hive", "10.0.0.1", 80), "expired"))

    def test_two_registrations_at_one_place_are_two(self) -> None:
        twin = row(1).replace('"id":"0', '"id":"f')
        watcher = self.watch(
            SNAPSHOT % (1, row(1) + "," + twin) + '{"index":2,"up":[],"down":[%s]}\n' % twin
        )
        self.assertEqual(self.numbers(next(watcher)), [1])
        registry = self.registry()
        with registry.client() as client, client.watch("hive") as watcher:
            uuids = [client.register("hive", "10.0.0.1", 80) for _ in range(2)]
            self.assertEqual(self.numbers(next(watcher)), [1, 1])
            client.deregister(uuids[0])
            self.assertEqual(self.numbers(next(watcher)), [1])

    def test_what_is_no_watch_ends_it(self) -> None:
        for line in [
            "hello", "{}", '{"index":1}', '{"index":1,"up":[],"down":[]}', SNAPSHOT % (1, row(1, tags="1")),
            SNAPSHOT % (1, row(1, meta='{"a":1}')), '{"index":1,"part":2,"services":[]}',
        ]:
            with self.subTest(line), self.assertRaisesRegex(discovery.Error, "not the registry"):
                self.said()
                next(self.watch(line + "\n"))

    def test_a_long_list_with_metadata_is_read_once(self) -> None:
        rows = ",".join(
            f'{{"id":"{i:016x}","meta":{{"k":"{{}}"}},"type":"hive","ip":"10.0.0.1","port":80}}'
            for i in range(5_000)
        )
        watcher = self.watch(SNAPSHOT % (1, rows))
        with mock.patch.object(json, "loads", wraps=json.loads) as loads:
            self.assertEqual(len(next(watcher)), 5_000)
        read = sum(len(call.args[0]) for call in loads.call_args_list)
        self.assertLess(read, 2 * len(rows))


class Tokens(Case):
    """Tokens and their files."""

    def replace(self, path: str, content: str) -> None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)

    def test_the_byte_order_mark_of_a_token_file_is_no_part_of_the_token(self) -> None:
        registry = self.registry("--token-file", self.file(b"sesame\n"))
        for content in (b"\xef\xbb\xbfsesame\r\n", b"\n  sesame\n"):
            with registry.client(token_file=self.file(content)) as client:
                self.assertEqual(client.query("hive"), [])

    def test_a_client_reads_the_token_file_for_each_connection(self) -> None:
        path = self.file(b"old\n")
        registry = self.registry("--token-file", path)
        with registry.client(token_file=path) as client:
            client.ping()
            self.replace(path, "new\n")
            registry.restart()
            self.assertEqual(client.query("hive"), [])

    def test_a_watch_and_a_hold_that_are_denied_try_again_with_a_new_token(self) -> None:
        service_file, client_file = self.file(b"old\n"), self.file(b"old\n")
        registry, said = self.registry("--token-file", service_file), self.said()
        client = registry.client(token_file=client_file)
        with client.watch("hive") as watcher, client.hold("hive", "10.0.0.1", 80) as held:
            eventually("it is told", lambda: watcher.next_within(0.1))
            self.replace(service_file, "new\n")
            registry.restart()
            eventually("it is denied", lambda: watcher.next_within(0.1) or any("authentic" in s for s in said))
            self.assertIsNone(watcher.next_within(1))
            self.replace(client_file, "new\n")
            eventually("it is registered", lambda: held.uuid)
            self.assertTrue(held.check())
            client.register("hive", "10.0.0.2", 80)
            eventually("it goes on", lambda: len(watcher.next_within(0.1) or []) == 2)
        client.close()

    def test_a_token_that_was_given_and_is_denied_is_final(self) -> None:
        registry = self.registry("--token-file", self.file(b"sesame\n"))
        self.said()
        for token in ("wrong", None):
            with registry.client(token=token) as client:
                with self.assertRaises(discovery.Denied):
                    client.query("hive")
                with self.assertRaises(discovery.Denied):
                    next(client.watch("hive"))
                with self.assertRaises(discovery.Denied):
                    client.hold("hive", "10.0.0.1", 80)

    def test_a_token_file_without_a_token_is_named(self) -> None:
        path = self.file(b"\xef\xbb\xbf\n")
        with self.assertRaisesRegex(ValueError, path):
            discovery.Client(token_file=path)
        with self.assertRaises(FileNotFoundError):
            discovery.Client(token_file=path + ".not")


class Sharing(Case):
    """Threads that share a client."""

    def test_threads_that_share_a_client_get_each_its_own_answers(self) -> None:
        registry = self.registry()
        with registry.client() as client:
            for port in range(1, 9):
                client.register(f"type-{port}", "10.0.0.1", port)
            wrong: List[object] = []

            def ask(port: int) -> None:
                try:
                    for _ in range(200):
                        told = client.query(f"type-{port}")
                        if told != [("10.0.0.1", port)]:
                            wrong.append((port, told))
                except discovery.Error as error:
                    wrong.append((port, error))

            threads = [threading.Thread(target=ask, args=(port,)) for port in range(1, 9)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])

    def test_threads_come_to_their_turn_in_the_order_in_which_they_asked(self) -> None:
        script = self.script(lambda line: "[]\n")
        client = script.client()

        def ask(number: int) -> None:
            for _ in range(2):
                client.query(f"type-{number}")

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
        with client:
            with client._turn(time.monotonic() + PATIENCE):
                for count, thread in enumerate(threads, 2):
                    thread.start()
                    eventually("it waits", lambda: len(client._turns._queue) == count)
            for thread in threads:
                thread.join()
        self.assertEqual(script.lines[:3], [f"query type-{number}" for number in range(3)])

    def test_a_request_waits_no_longer_than_its_timeout_for_other_threads(self) -> None:
        client = self.script(lambda line: "").client(timeout=0.5)
        with client._turn(time.monotonic() + PATIENCE):
            failures: List[BaseException] = []

            def ask() -> None:
                try:
                    client.query("hive")
                except discovery.Error as error:
                    failures.append(error)

            thread = threading.Thread(target=ask)
            thread.start()
            thread.join(PATIENCE)
        self.assertIsInstance(failures[0], discovery.Away)


class Async(unittest.IsolatedAsyncioTestCase, Case):
    """The client for asyncio."""

    async def test_a_service_is_held_found_and_watched(self) -> None:
        registry = self.registry()
        async with discovery.AsyncClient(registry.address) as client:
            async with client.hold("hive", "10.0.0.1", 80) as held:
                self.assertEqual(await client.query("hive"), [("10.0.0.1", 80)])
                self.assertTrue(await client.heartbeat(held.uuid))
                uuid = await client.register("hive", "10.0.0.2", 80, replace=True)
                self.assertEqual(await client.types(), {"hive": 2})
                lists = [services async for services in client.watch("hive", timeout=0.3)]
                self.assertEqual([len(services) for services in lists], [2])
                self.assertTrue(await client.deregister(uuid))
            self.assertEqual(await client.query("hive"), [])
            with self.assertRaises(discovery.Refused):
                await client.register("hive", "0.0.0.0", 80)

    async def test_coroutines_take_what_the_methods_take(self) -> None:
        registry = self.registry()
        async with discovery.AsyncClient(registry.address) as client:
            uuid = await client.register("hive", "10.0.0.1", 80, 60, tags=["blue"], meta={"k": "v"})
            self.assertEqual(await client.query("hive", tags=["blue"], limit=1), [("10.0.0.1", 80)])
            self.assertTrue(await client.update(uuid, ["green"]))
            registry.restart()
            await client.revive(uuid, "hive", "10.0.0.1", 80, tags=["blue"])
            self.assertTrue(await client.heartbeat(uuid))
            hold = client.hold("hive", "10.0.0.1", 80, replace=True, tags=["held"], meta={"k": "v"})
            async with hold as held:
                self.assertEqual((await client.list("hive"))[0]["tags"], ["held"])
                self.assertTrue(await asyncio.to_thread(held.update, ["new"]))
                lists = [services async for services in client.watch("hive", timeout=0.3)]
                self.assertEqual([one.tags for one in lists[-1]], [("new",)])
            why = await client.why(uuid)
            assert why is not None
            self.assertEqual(why["reason"], "replaced")

    async def test_other_tasks_run_while_a_watch_waits_and_cancelling_ends_it(self) -> None:
        registry = self.registry()
        client = discovery.AsyncClient(registry.address)
        lists: List[object] = []
        threads = threading.active_count()

        async def watch() -> None:
            async for services in client.watch("hive"):
                lists.append(services)

        task = asyncio.create_task(watch())
        while not lists:
            await asyncio.sleep(0.01)
        self.assertGreater(threading.active_count(), threads)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        deadline = time.monotonic() + END_MAX
        while any(t.name == "discovery-watch" for t in threading.enumerate()):
            self.assertLess(time.monotonic(), deadline)
            await asyncio.sleep(0.01)

    async def test_a_hold_that_is_cancelled_while_it_registers_leaves_nothing(self) -> None:
        go = threading.Event()

        def answer(line: str) -> str:
            if line.startswith("hold"):
                go.wait(PATIENCE)
                return UUID + "\n"
            return "NOT FOUND\n"

        script = self.script(answer)
        client = discovery.AsyncClient(script.address)

        async def hold() -> None:
            async with client.hold("hive", "10.0.0.1", 80):
                raise AssertionError("it was cancelled")

        task = asyncio.create_task(hold())
        while not script.lines:
            await asyncio.sleep(0.01)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        go.set()
        deadline = time.monotonic() + PATIENCE
        while script._open:
            self.assertLess(time.monotonic(), deadline, "the connection is closed")
            await asyncio.sleep(0.01)

    def test_importing_the_module_does_not_import_asyncio(self) -> None:
        code = "import discovery, sys; sys.exit('asyncio' in sys.modules)"
        folder = os.path.dirname(discovery.__file__)
        self.assertEqual(subprocess.run([sys.executable, "-c", code], cwd=folder).returncode, 0)


class Arguments(Case):
    """What a caller may pass, and what is sent."""

    def sent(self, ask: Callable[[discovery.Client], object], answer: str = "NOT FOUND") -> str:
        script = self.script(lambda line: answer + "\n")
        with script.client() as client:
            ask(client)
        return script.lines[0]

    def test_an_ip_may_be_an_object_of_the_standard_library(self) -> None:
        for ip in ("10.0.0.1", "2001:db8::1"):
            sent = self.sent(
                lambda client: client.register("hive", ipaddress.ip_address(ip), 80), UUID
            )
            self.assertEqual(sent, f"register hive {ip} 80")

    def test_tags_and_metadata_are_options(self) -> None:
        cases: Sequence[Tuple[Callable[[discovery.Client], object], str, str]] = [
            (lambda c: c.register("hive", "-", 80, 5, True, ["a", "b"], {"k": "v"}), UUID,
             "register hive - 80 ttl=5 replace tag=a tag=b meta.k=v"),
            (lambda c: c.query("hive", 3, ["a"], {"k": "v"}, 2), "[]",
             "query hive max-age=3 tag=a meta.k=v limit=2"),
            (lambda c: c.update(UUID, ("a",), {"k": ""}), "OK", f"update {UUID} tag=a meta.k="),
            (lambda c: c.revive(UUID, "hive", "-", 80, 5, ["a"], {"k": "v"}), "OK",
             f"heartbeat {UUID} hive - 80 ttl=5 tag=a meta.k=v"),
        ]
        for ask, answer, expected in cases:
            self.assertEqual(self.sent(ask, answer), expected)

    def test_no_argument_can_add_a_word_or_a_command(self) -> None:
        client = discovery.Client("127.0.0.1:1")
        wrong: Sequence[Callable[[], object]] = [
            lambda: client.register("hive", "-", 80, tags=["a b"]),
            lambda: client.register("hive", "-", 80, tags=["a\nquit"]),
            lambda: client.register("hive", "-", 80, tags=[""]),
            lambda: client.register("hive", "-", 80, tags="blue"),
            lambda: client.query("hive", meta={"k k": "v"}),
            lambda: client.query("hive", meta={"": "v"}),
            lambda: client.query("hive", meta={"k": "v v"}),
            lambda: client.hold("hive", "", 80),
            lambda: client.watch("a b"),
            lambda: discovery.Client("localhost"),
            lambda: discovery.Client(["127.0.0.1:1", "nowhere"]),
        ]
        for call in wrong:
            with self.assertRaises(ValueError):
                call()

    def test_a_service_is_a_plain_tuple_that_shows_what_else_it_has(self) -> None:
        service = discovery.Service("hive", "10.0.0.1", 80)
        self.assertEqual(service, ("hive", "10.0.0.1", 80))
        self.assertEqual(repr(service), "Service(type='hive', ip='10.0.0.1', port=80)")
        tagged = discovery.Service("hive", "10.0.0.1", 80, "f", ["a"], confirmed=False)
        self.assertEqual(hash(tagged), hash(service))
        expected = "Service(type='hive', ip='10.0.0.1', port=80, id='f', tags=('a',), confirmed=False)"
        self.assertEqual(repr(tagged), expected)


if __name__ == "__main__":
    unittest.main()
