#!/usr/bin/env python3
"""TLS before the four systems: one listener for each kind of trouble with it.

tls.py --port-file FILE --directory DIR --to PORT [--with-stdin]

Bytes are passed on to PORT of this machine. DIR gets the certificates, made by openssl: ca.pem,
client.pem, client.key, other.pem (the certificate of another authority). The port file gets
{"good": port, ...}:

good      a certificate for localhost and 127.0.0.1
mutual    wants a certificate of the client's
name      a certificate for another host
expired   one that was good until yesterday
stranger  one of another authority
old       speaks TLS 1.1 and less
loses     the first response is never passed on, and the connection closed
abrupt    closes without TLS's own end, after the response
"""
import argparse
import asyncio
import json
import os
import ssl
import subprocess
import sys
import time

LOCAL = "subjectAltName=DNS:localhost,IP:127.0.0.1"
# name: (its authority, subjectAltName, when it ends, in days from now)
CERTIFICATES = {
    "server": ("ca", LOCAL, 2),
    "name": ("ca", "subjectAltName=DNS:elsewhere.example", 2),
    "expired": ("ca", LOCAL, -1),
    "stranger": ("other", LOCAL, 2),
    "client": ("ca", "subjectAltName=DNS:dataflows", 2),
}
SERVICES = {"good": "server", "mutual": "server", "name": "name", "expired": "expired",
            "stranger": "stranger",
            "old": "server", "loses": "server", "abrupt": "server"}
lost = 0


# what "openssl ca" wants to know; "openssl x509" makes none that has ended already
AUTHORITY = """[ca]
default_ca = authority
[authority]
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
unique_subject = no
policy = policy
[policy]
commonName = supplied
"""


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def write(name, text):
    with open(name, "w", encoding="ascii") as file:
        file.write(text)


def date(days):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400))


def make_certificates(directory):
    os.chdir(directory)
    write("authority.cnf", AUTHORITY)
    write("index.txt", "")
    write("serial", "01\n")
    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                "/CN=" + name,
                "-keyout", name + ".key", "-out", name + ".pem")
    for name, (authority, names, days) in CERTIFICATES.items():
        write(name + ".ext", names + "\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + name, "-keyout",
                name + ".key", "-out", name + ".csr")
        openssl("ca", "-batch", "-notext", "-config", "authority.cnf", "-cert", authority + ".pem",
                "-keyfile", authority + ".key",
                "-in", name + ".csr", "-extfile", name + ".ext", "-startdate", date(-2),
                "-enddate", date(days), "-out", name + ".pem")


def context_for(service):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = SERVICES[service]
    context.load_cert_chain(certificate + ".pem", certificate + ".key")
    if service == "mutual":
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations("ca.pem")
    if service == "old":
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


async def pump(reader, writer, swallow=False):
    try:
        while True:
            data = await reader.read(65536)
            if not data or swallow:
                return
            writer.write(data)
            await writer.drain()
    except (OSError, ssl.SSLError):
        pass


async def serve(service, to, reader, writer):
    global lost
    losing = service == "loses" and lost == 0
    try:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", to)
    except OSError:
        writer.transport.abort()
        return
    forth = asyncio.create_task(pump(reader, up_writer))
    back = asyncio.create_task(pump(up_reader, writer, losing))
    done, _ = await asyncio.wait({forth, back}, return_when=asyncio.FIRST_COMPLETED)
    if losing and back in done:
        lost += 1
    for task in (forth, back):
        task.cancel()
    up_writer.close()
    if losing or service == "abrupt":
        writer.transport.abort()
    else:
        writer.close()


async def main(options):
    ports = {}
    make_certificates(options.directory)
    for service in SERVICES:
        server = await asyncio.start_server(lambda r, w, service=service:
                                            serve(service, options.to, r, w), "127.0.0.1", 0,
                                            ssl=context_for(service))
        ports[service] = server.sockets[0].getsockname()[1]
    with open(options.port_file + ".new", "w", encoding="ascii") as file:
        json.dump(ports, file)
    os.rename(options.port_file + ".new", options.port_file)
    stop = asyncio.Event()
    if options.with_stdin:
        asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    await stop.wait()


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--port-file", required=True)
parser.add_argument("--directory", required=True)
parser.add_argument("--to", type=int, required=True)
parser.add_argument("--with-stdin", action="store_true", help="end when stdin is closed")
asyncio.run(main(parser.parse_args()))
