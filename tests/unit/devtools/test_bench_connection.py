"""The HTTP of the load generator, against a server that cuts its replies anywhere."""

import asyncio

import pytest

from zizhu.chain.model.errors import OperatingFault
from zizhu.framework.devtools.wire import Connection

REPLIES = [
    b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 0\r\n\r\n",
]


async def serve_in_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for reply in REPLIES:
        await reader.readuntil(b"\r\n\r\n")
        for byte in reply:
            writer.write(bytes([byte]))
            await writer.drain()
    writer.close()


def test_replies_are_whole_however_they_come_and_a_broken_connection_is_told() -> None:
    """Two requests on one connection, replies byte by byte; the third meets a closed connection and says so."""

    async def talk() -> None:
        server = await asyncio.start_server(serve_in_pieces, "127.0.0.1", 0)
        connection = Connection("127.0.0.1", server.sockets[0].getsockname()[1])
        first, second = await connection.post("/a", b""), await connection.get("/b")
        assert (first.status, first.body, second.status, second.body) == (202, b"hello", 200, b"")
        server.close()
        await server.wait_closed()
        with pytest.raises(OperatingFault, match=r"bench\.connection"):
            await connection.get("/c")

    asyncio.run(talk())
