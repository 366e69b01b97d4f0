"""Connections of verified processes to a session's own port need no credential; all others do."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from cogo_dagster.net.addresses import AllowList
from cogo_dagster.net.client_connection import IsUser
from cogo_dagster.net.dial import Dialer
from cogo_dagster.net.peers import Address, ProcessSockets, can_find_processes, socket_inode
from cogo_dagster.net.proxy import ForwardProxy
from cogo_dagster_tests.net.test_proxy import listening
from cogo_dagster_tests.net.test_proxy_connections import Server, get, response, run

LOCAL = Dialer(AllowList.of(["127.0.0.1"]))


def verify_none(peer: Address, proxy: Address) -> bool:
    """Verify no connection."""
    return False


def of_this_process(peer: Address, proxy: Address) -> bool:
    """Verify connections of this process."""
    inode = socket_inode(peer, proxy)
    return inode is not None and ProcessSockets(os.getpid()).has(inode)


@pytest.mark.linux("the kernel is asked for the owner of a socket")
def test_the_process_of_a_connection_is_found() -> None:
    """The socket at the other end is found, and belongs to the process that opened it and to no other one."""
    assert can_find_processes()
    connect = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()"
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", connect, str(server.getsockname()[1])]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as other:
            accepted, peer = server.accept()
            inode = socket_inode(peer, accepted.getsockname())
            assert inode is not None
            assert ProcessSockets(other.pid).has(inode)
            assert not ProcessSockets(os.getpid()).has(inode)
            assert socket_inode(("127.0.0.1", 1), accepted.getsockname()) is None
            other.communicate()
            accepted.close()
        assert not ProcessSockets(other.pid).has(inode)


@pytest.mark.linux("the kernel is asked for the owner of a socket")
def test_sockets_that_reuse_a_descriptor_are_found() -> None:
    """A new socket under the number of a closed one is found; the closed one, and sockets of others, are not."""
    own = ProcessSockets(os.getpid())
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed: list[int] = []
        for _ in range(3):
            with socket.create_connection(server.getsockname()) as client:
                inode = os.fstat(client.fileno()).st_ino
                assert own.has(inode)
                assert own.has(inode)
                assert not any(map(own.has, closed))
            server.accept()[0].close()
            closed.append(inode)
    assert not any(map(own.has, closed))


def test_without_sock_diag_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """On systems without it, the credential remains necessary."""
    monkeypatch.delattr(socket, "AF_NETLINK", raising=False)
    assert not can_find_processes()


async def status(proxy_url: str, request: bytes) -> str:
    """Send a request to the proxy, and return the status of the response."""
    connection = await asyncio.open_connection("127.0.0.1", int(proxy_url.rpartition(":")[2]))
    connection[1].write(request)
    head, _ = await response(connection)
    connection[1].close()
    return head.split(" ")[1]


@pytest.mark.linux("the kernel is asked for the owner of a socket")
@pytest.mark.parametrize(("is_user", "expected"), [(of_this_process, "200"), (verify_none, "407")])
def test_only_verified_connections_need_no_credential(is_user: IsUser, expected: str) -> None:
    """On the session's port a verified connection needs none; another one needs it, as on the common port."""

    async def scenario() -> None:
        proxy = await ForwardProxy(LOCAL).start()
        async with listening(Server().serve) as port:
            bare = f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode()
            with proxy.session() as session, proxy.session() as other:
                url = await proxy.open_port(session, is_user)
                assert await status(url, bare) == expected
                assert await status(url, get(port, session)) == "200"
                assert await status(proxy.url, bare) == "407"
                assert await status(proxy.url, get(port, other)) == "200"
        await proxy.stop()

    run(scenario)


def test_a_port_ends_with_its_session() -> None:
    """At the end of the session its connections and its port are closed; the failures are those of the session."""

    async def scenario() -> None:
        proxy = await ForwardProxy(Dialer()).start()
        with proxy.session() as session, proxy.session() as other:
            url = await proxy.open_port(session, lambda *_: True)
            blocked = b"GET http://127.0.0.1:1/ HTTP/1.1\r\n\r\n"
            assert await status(url, blocked) == "403"
            assert (len(session.failures), len(other.failures)) == (1, 0)
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            while not session.connections:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await status(url, blocked)
        await proxy.stop()

    run(scenario)
