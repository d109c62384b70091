#!/usr/bin/env python3
"""A TCP proxy for an S3 server on this machine that makes every PUT take longer: delay_puts.py LISTEN_PORT TARGET_PORT MILLISECONDS

What the server answers to a PUT is passed on so much later; everything else at once. Ends with SIGTERM."""
import asyncio, sys

CHUNK = 1 << 18

class Client(asyncio.Protocol):
    """One connection of a client. Which request it waits for is told by how the last one began."""

    def __init__(self, target, delay):
        self.target, self.delay = target, delay
        self.server, self.waiting, self.is_put, self.answered = None, [], False, True

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(high=8 * CHUNK)
        asyncio.get_running_loop().create_task(self.connect())

    async def connect(self):
        try:
            loop = asyncio.get_running_loop()
            self.server, _ = await loop.create_connection(lambda: Server(self), "127.0.0.1", self.target)
            for data in self.waiting: self.server.write(data)
            self.waiting = []
        except OSError:
            self.transport.close()

    def data_received(self, data):
        if self.answered:
            self.answered, self.is_put = False, data.startswith(b"PUT ")
        if self.server is None: self.waiting.append(data)
        else: self.server.write(data)

    def connection_lost(self, error):
        if self.server is not None: self.server.close()

    def pause_writing(self):
        if self.server is not None: self.server.pause_reading()

    def resume_writing(self):
        if self.server is not None: self.server.resume_reading()

class Server(asyncio.Protocol):
    """The connection to the S3 server that belongs to a client's."""

    def __init__(self, client):
        self.client = client

    def connection_made(self, transport):
        transport.set_write_buffer_limits(high=8 * CHUNK)

    def data_received(self, data):
        self.client.answered = True
        if self.client.is_put and self.client.delay: asyncio.get_running_loop().call_later(self.client.delay, self.client.transport.write, data)
        else: self.client.transport.write(data)

    def connection_lost(self, error):
        asyncio.get_running_loop().call_later(self.client.delay, self.client.transport.close)

    def pause_writing(self):
        self.client.transport.pause_reading()

    def resume_writing(self):
        self.client.transport.resume_reading()

async def main():
    listen, target, delay = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000
    server = await asyncio.get_running_loop().create_server(lambda: Client(target, delay), "127.0.0.1", listen)
    await server.serve_forever()

if __name__ == "__main__":
    if len(sys.argv) != 4: sys.exit(__doc__)
    asyncio.run(main())
