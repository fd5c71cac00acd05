#!/usr/bin/env python3
"""Proxies before the systems, with books: by http, by https and by SOCKS 5.

proxies.py --port-file FILE --directory DIR [--with-stdin]

Test equipment: standard library only; DIR gets a certificate for the proxy by https, made by
openssl.  README.md beside this file has the protocol.
"""

import argparse
import asyncio
import base64
import json
import os
import ssl
import subprocess
import sys
from urllib.parse import urlsplit

USER, PASSWORD = "way", "proxy-hush-hush"
log = []


async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except (OSError, RuntimeError):
        writer.transport.abort()


async def join(reader, writer, other_reader, other_writer):
    await asyncio.gather(pipe(reader, other_writer), pipe(other_reader, writer))
    other_writer.close()


def where(host, port):
    """Names that only the proxy knows."""
    return ("127.0.0.1" if host.endswith(".test") else host), port


class Http:
    """CONNECT, and requests with an absolute URL; one request a connection."""

    def __init__(self, name, must):
        self.name = name
        self.must = must

    def allowed(self, headers):
        kind, _, value = headers.get("proxy-authorization", "").partition(" ")
        return not self.must or (kind == "Basic" and base64.b64decode(value).decode()
                                 == USER + ":" + PASSWORD)

    async def handle(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {}
        for line in filter(None, head[1:]):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        log.append({"proxy": self.name, "method": method, "target": target, "headers": headers})
        if target == "/_log":
            data = json.dumps(log).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                         % len(data) + data)
            return
        if not self.allowed(headers):
            writer.write(b"HTTP/1.1 407 Who are you?\r\nProxy-Authenticate: Basic realm=\"way\""
                         b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        url = urlsplit("//" + target if method == "CONNECT" else target)
        try:
            other = await asyncio.open_connection(*where(url.hostname, url.port or 80))
        except OSError:
            writer.write(b"HTTP/1.1 502 Nobody there\r\nContent-Length: 0\r\n\r\n")
            return
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\nX-Proxy: tunnel\r\n\r\n")
        else:
            path = (url.path or "/") + ("?" + url.query if url.query else "")
            kept = [line for line in head[1:] if line and not line.lower().startswith("proxy-")]
            other[1].write("\r\n".join(["%s %s HTTP/1.1" % (method, path), "Connection: close"]
                                       + kept + ["", ""]).encode("latin-1"))
        await join(reader, writer, *other)


class Socks:
    """RFC 1928 and 1929: by name, with and without credentials."""

    def __init__(self, name, must):
        self.name = name
        self.must = must

    async def credentials(self, reader, writer):
        await reader.readexactly(1)
        user = await reader.readexactly((await reader.readexactly(1))[0])
        password = await reader.readexactly((await reader.readexactly(1))[0])
        good = (user.decode(), password.decode()) == (USER, PASSWORD)
        writer.write(b"\x01\x00" if good else b"\x01\x01")
        return good

    async def handle(self, reader, writer):
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 2 if self.must else 0
        if wanted not in methods:
            writer.write(b"\x05\xff")
            return
        writer.write(bytes([5, wanted]))
        if self.must and not await self.credentials(reader, writer):
            return
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = ".".join(str(b) for b in await reader.readexactly(4))
        port = int.from_bytes(await reader.readexactly(2), "big")
        log.append({"proxy": self.name, "method": "SOCKS", "target": "%s:%d" % (host, port),
                    "by": "name" if kind == 3 else "address"})
        try:
            other = await asyncio.open_connection(*where(host, port))
        except OSError:
            writer.write(b"\x05\x05\x00\x01" + bytes(6))
            return
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await join(reader, writer, *other)


def make_certificate(directory):
    pem, key = os.path.join(directory, "proxy.pem"), os.path.join(directory, "proxy.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=proxy", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", key, "-out", pem],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context


async def serve(options):
    tls = make_certificate(options.directory)
    ports = {}
    servers = {"http": Http("http", False), "auth": Http("auth", True),
               "https": Http("https", False), "socks": Socks("socks", False),
               "socks_auth": Socks("socks_auth", True)}

    def handler(proxy):
        async def handle(reader, writer):
            try:
                await proxy.handle(reader, writer)
                await writer.drain()
            except (OSError, asyncio.IncompleteReadError, ssl.SSLError):
                pass
            finally:
                writer.close()
        return handle

    for name, proxy in servers.items():
        server = await asyncio.start_server(handler(proxy), "127.0.0.1", 0,
                                            ssl=tls if name == "https" else None)
        ports[name] = server.sockets[0].getsockname()[1]
    with open(options.port_file + ".new", "w", encoding="ascii") as file:
        json.dump(ports, file)
    os.rename(options.port_file + ".new", options.port_file)
    stop = asyncio.Event()
    if options.with_stdin:
        asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    await stop.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--directory", required=True)
    parser.add_argument("--with-stdin", action="store_true", help="end when stdin is closed")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
