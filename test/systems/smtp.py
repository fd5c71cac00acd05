#!/usr/bin/env python3
"""A mail server that keeps books and can be told to misbehave.

Test equipment: standard library only, a throwaway certificate made by openssl.
README.md beside this file has the protocol.
"""

import argparse
import asyncio
import base64
import email
import email.policy
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys

# what a service offers: (TLS from the first byte, STARTTLS, ways to authenticate, must one?)
SERVICES = {
    "smtp": (False, True, ["PLAIN", "LOGIN"], False),
    "auth": (False, True, ["PLAIN", "LOGIN"], True),
    "login": (False, True, ["LOGIN"], True),
    "smtps": (True, False, ["PLAIN", "LOGIN"], True),
    "plain": (False, False, ["PLAIN", "LOGIN"], False),
    "odd": (False, True, ["X-UNKNOWN"], True),
    "closed": (False, True, [], False),
    "oauth": (False, True, ["PLAIN", "XOAUTH2"], True),
    "bearer": (False, True, ["OAUTHBEARER"], True),
}
FAULT = re.compile(r"^(busy|nobody|closing|later|spam|lost|dropped|cut|hang|slow|early|garbled)"
                   r"(\d*)(?:[-.]|$)")


class Book:
    """Append-only JSON lines: what was accepted, and who showed which credentials."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="ascii")

    def write(self, **facts):
        self.file.write(json.dumps(facts) + "\n")
        self.file.flush()


class Hangup(Exception):
    """The connection ends here."""


class Server:
    def __init__(self, options):
        self.book = Book(options.book)
        self.user = options.user
        self.password = options.password
        self.tokens = options.tokens
        self.seen = {}
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(options.certificate, options.key)

    def fault(self, address, stage):
        """The fault that an address asks for at this stage, as often as it says."""
        match = FAULT.match(address)
        stages = {"busy": "rcpt", "nobody": "rcpt", "closing": "rcpt", "cut": "data",
                  "early": "data"}
        if not match or stages.get(match[1], "end") != stage:
            return None
        self.seen[address] = self.seen.get(address, 0) + 1
        if match[2] and self.seen[address] > int(match[2]):
            return None
        return match[1]


class Session:
    def __init__(self, server, name, reader, writer):
        self.server = server
        self.name = name
        self.encrypted, self.starttls, self.mechanisms, self.must = SERVICES[name]
        self.reader = reader
        self.writer = writer
        self.user = None
        self.reset()

    def reset(self):
        self.sender = None
        self.recipients = []

    async def say(self, text):
        self.writer.write(text.encode() + b"\r\n")
        await self.writer.drain()

    async def line(self):
        line = await self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise Hangup()
        return line[:-2].decode("latin-1")

    async def run(self):
        if self.name == "closed":
            await self.say("554 5.3.2 no mail is taken here")
            raise Hangup()
        await self.say("220-mail.example.com ESMTP")
        await self.say("220 at your service")
        while True:
            line = await self.line()
            verb, _, rest = line.partition(" ")
            handler = getattr(self, "do_" + verb.lower(), None)
            if handler is None:
                await self.say("502 5.5.1 no such command")
            else:
                await handler(rest)

    async def do_ehlo(self, _rest):
        lines = ["mail.example.com", "SIZE 1000000", "ENHANCEDSTATUSCODES"]
        if self.starttls and not self.encrypted:
            lines.append("STARTTLS")
        elif self.mechanisms:
            lines.append("AUTH " + " ".join(self.mechanisms))
        for number, line in enumerate(lines):
            await self.say("250%s%s" % ("-" if number < len(lines) - 1 else " ", line))

    async def do_starttls(self, _rest):
        await self.say("220 2.0.0 go ahead")
        await self.writer.start_tls(self.server.tls)
        self.encrypted = True

    async def challenge(self, text):
        await self.say("334 " + base64.b64encode(text.encode()).decode())
        return base64.b64decode(await self.line()).decode()

    def accepts(self, token):
        """Whether the file with the tokens that are valid has it, or what it begins with."""
        path = self.server.tokens
        if path is None or not os.path.exists(path):
            return False
        with open(path, encoding="ascii") as file:
            return any(token.startswith(valid) for valid in file.read().split())

    async def do_auth(self, rest):
        mechanism, _, initial = rest.partition(" ")
        user, password = None, None
        if mechanism == "PLAIN":
            data = base64.b64decode(initial).decode() if initial else await self.challenge("")
            _, user, password = data.split("\0")
        elif mechanism == "LOGIN":
            user = (base64.b64decode(initial).decode() if initial
                    else await self.challenge("Username:"))
            password = await self.challenge("Password:")
        elif mechanism in ("XOAUTH2", "OAUTHBEARER"):
            data = base64.b64decode(initial).decode()
            user = re.search("user=([^\x01]*)|n,a=([^,]*),", data)
            user = user[1] or user[2]
            password = re.search("auth=Bearer ([^\x01]*)\x01", data)[1]
            if not self.accepts(password):
                await self.challenge('{"status": "401"}')
        self.server.book.write(event="auth", service=self.name, mechanism=mechanism, user=user,
                               tls=self.encrypted)
        if (user, password) == (self.server.user, self.server.password) or \
                (user == self.server.user and mechanism in ("XOAUTH2", "OAUTHBEARER")
                 and self.accepts(password)):
            self.user = user
            await self.say("235 2.7.0 welcome")
        elif user == "moody":
            await self.say("454 4.7.0 come back later")
        else:
            await self.say("535 5.7.8 these credentials are invalid")

    async def do_mail(self, rest):
        if self.must and self.user is None:
            await self.say("530 5.7.0 authentication required")
            return
        self.reset()
        self.sender = rest
        await self.say("250 2.1.0 fine")

    async def do_rcpt(self, rest):
        address = rest[rest.index("<") + 1:rest.index(">")]
        fault = self.server.fault(address, "rcpt")
        if fault == "busy":
            await self.say("450 4.2.1 the mailbox is busy")
        elif fault == "nobody":
            await self.say("550-5.1.1 there is nobody")
            await self.say("550 5.1.1 of that name")
        elif fault == "closing":
            await self.say("421 4.3.2 closing")
            raise Hangup()
        else:
            self.recipients.append(address)
            await self.say("250 2.1.5 fine")

    async def message(self):
        lines = []
        while True:
            line = await self.reader.readline()
            if not line.endswith(b"\r\n"):
                raise Hangup()
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)

    def faults(self, stage):
        found = [self.server.fault(address, stage) for address in self.recipients]
        return next((fault for fault in found if fault), None)

    def accept(self, raw):
        head = email.message_from_bytes(raw, policy=email.policy.default)
        self.server.book.write(event="accepted", service=self.name, message_id=head["Message-ID"],
                               sender=self.sender,
                               recipients=self.recipients, user=self.user, tls=self.encrypted,
                               raw=base64.b64encode(raw).decode())

    async def do_data(self, _rest):
        if not self.recipients:
            await self.say("503 5.5.1 to whom?")
            return
        fault = self.faults("data")
        await self.say("354 go on")
        if fault == "cut":
            await self.reader.readline()
            raise Hangup()
        if fault == "early":
            await self.say("552 5.3.4 too much")
            raise Hangup()
        raw = await self.message()
        fault = self.faults("end")
        if fault not in ("later", "spam", "dropped"):
            self.accept(raw)
        if fault in ("lost", "dropped"):
            raise Hangup()
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "slow":
            await asyncio.sleep(1)
        await self.say({"later": "451 4.3.0 not now", "spam": "554 5.7.1 this is spam",
                        "garbled": "\u00fc\u00fc what?"}.get(fault, "250 2.0.0 queued as 7"))

    async def do_rset(self, _rest):
        self.reset()
        await self.say("250 2.0.0 fine")

    async def do_noop(self, _rest):
        await self.say("250 2.0.0 fine")

    async def do_quit(self, _rest):
        await self.say("221 2.0.0 bye")
        raise Hangup()


def listener(port, narrow):
    """A narrow one takes little at a time, so that a sender has to wait within a message."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if narrow:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.bind(("127.0.0.1", port))
    return sock


async def serve(options):
    server = Server(options)
    ports = {}

    def handler(name):
        async def handle(reader, writer):
            try:
                await Session(server, name, reader, writer).run()
            except (Hangup, ConnectionError, ssl.SSLError, asyncio.CancelledError):
                pass
            finally:
                writer.transport.abort()
        return handle

    wanted = [int(p) for p in options.ports.split(",")] if options.ports else [0] * len(SERVICES)
    for (name, facts), port in zip(SERVICES.items(), wanted):
        listening = await asyncio.start_server(handler(name), sock=listener(port, name == "plain"),
                                               ssl=server.tls if facts[0] else None)
        ports[name] = listening.sockets[0].getsockname()[1]
    ports["pid"] = os.getpid()
    with open(options.port_file + ".new", "w", encoding="ascii") as file:
        json.dump(ports, file)
    os.rename(options.port_file + ".new", options.port_file)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.with_stdin:
        loop.add_reader(sys.stdin, stop.set)
    await stop.wait()


def make_certificate(options):
    if not os.path.exists(options.certificate):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", 
                        "-keyout", options.key, "-out", options.certificate],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def content(part):
    """A text with line ends as here, a file in base64."""
    if part.is_attachment():
        return base64.b64encode(part.get_payload(decode=True)).decode()
    return part.get_content().replace("\r\n", "\n")


def show(path):
    """What is in the book, the messages read as a mail program reads them."""
    out = []
    for line in open(path, encoding="ascii"):
        facts = json.loads(line)
        if "raw" in facts:
            raw = base64.b64decode(facts["raw"])
            message = email.message_from_bytes(raw, policy=email.policy.default)
            facts["lines"] = max(len(part) for part in raw.split(b"\r\n"))
            facts["ascii"] = raw.isascii() and b"\n" not in raw.replace(b"\r\n", b"")
            facts["headers"] = {name: str(value) for name, value in message.items()}
            facts["names"] = [name for name, _ in message.items()]
            facts["defects"] = [repr(d) for part in message.walk() for d in part.defects]
            facts["type"] = message.get_content_type()
            facts["parts"] = [[part.get_content_type(), content(part), part.get_filename()]
                              for part in message.walk()
                              if not part.is_multipart()]
            facts["raw"] = raw.decode("latin-1")
        out.append(facts)
    print(json.dumps(out))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port-file")
    parser.add_argument("--book", required=True)
    parser.add_argument("--ports", help="one for each service, in order")
    parser.add_argument("--certificate", help="made if it is not there")
    parser.add_argument("--user", default="shop")
    parser.add_argument("--password", default="hunter2")
    parser.add_argument("--tokens", help="a file with what valid bearer tokens begin with")
    parser.add_argument("--with-stdin", action="store_true", help="end when stdin is closed")
    parser.add_argument("--show", action="store_true", help="print the book and end")
    options = parser.parse_args()
    if options.show:
        show(options.book)
        return
    options.key = options.certificate + ".key"
    make_certificate(options)
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
