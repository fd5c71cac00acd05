#!/usr/bin/env python3
"""A system that checks what it is sent: bodies, signatures, where a request came from.

checker.py --port-file FILE [--with-stdin] [--socket PATH]

Test equipment: standard library only.  Bodies are read by Python's own parsers, signatures are
made anew from what has arrived, by the published rules and not by the code under test.  Every
request is answered by what was understood of it.  README.md beside this file has the protocol.
"""

import argparse
import base64
import email.parser
import email.policy
import hashlib
import hmac
import http.server
import json
import os
import re
import socket
import socketserver
import sys
import threading
import urllib.parse

SECRET = "the secret of signatures"
KEYS = {"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
lock = threading.Lock()
requests = []
seen = {}


def parts_of(content_type, body):
    """The parts of a multipart body, as Python's email package reads them."""
    head = b"MIME-Version: 1.0\r\nContent-Type: " + content_type.encode() + b"\r\n\r\n"
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    out = []
    for part in message.iter_parts():
        disposition = part["content-disposition"].params
        content = part.get_payload(decode=True)
        out.append({"name": disposition.get("name"), "filename": disposition.get("filename"),
                    "type": part["content-type"] and str(part["content-type"]),
                    "base64": base64.b64encode(content).decode()})
    return {"parts": out, "defects": [repr(d) for d in message.defects]}


# ---- AWS Signature Version 4, by its specification -------------------------------------

def encoded(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-_.~")


def canonical_query(query):
    pairs = []
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        pairs.append((encoded(urllib.parse.unquote(name)), encoded(urllib.parse.unquote(value))))
    return "&".join("%s=%s" % pair for pair in sorted(pairs))


def aws_problem(method, target, headers, body):
    """None if the request is signed as AWS demands, else what is wrong."""
    algorithm, _, rest = headers["authorization"].partition(" ")
    fields = dict(item.strip().split("=", 1) for item in rest.split(","))
    access, day, region, service, end = fields["Credential"].split("/")
    signed = fields["SignedHeaders"].split(";")
    if algorithm != "AWS4-HMAC-SHA256" or end != "aws4_request" or access not in KEYS:
        return "unknown credentials"
    if signed != sorted(signed) or "host" not in signed or "x-amz-date" not in signed:
        return "what is signed: %s" % signed
    if any(name.startswith("x-amz-") and name not in signed for name in headers):
        return "a header of AWS is not signed"
    if not re.fullmatch(day + r"T\d{6}Z", headers["x-amz-date"]):
        return "the date"
    path, _, query = target.partition("?")
    digest = hashlib.sha256(body).hexdigest()
    if service == "s3" and headers.get("x-amz-content-sha256") != digest:
        return "s3 demands the digest of the body"
    canonical = "\n".join([
        method, path if service == "s3" else encoded(path, "/"), canonical_query(query),
        "".join("%s:%s\n" % (name, " ".join(headers[name].split())) for name in signed),
        ";".join(signed), digest])
    to_sign = "\n".join([algorithm, headers["x-amz-date"],
                         "/".join([day, region, service, end]),
                         hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + KEYS[access]).encode()
    for piece in (day, region, service, end):
        key = hmac.new(key, piece.encode(), hashlib.sha256).digest()
    good = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return None if hmac.compare_digest(good, fields["Signature"]) else "signature of " + canonical


# ---- HMAC --------------------------------------------------------------------------------

def hmac_of(digest, text):
    return hmac.new(SECRET.encode(), text, getattr(hashlib, digest))


def macs(headers, method, target, body):
    """What signatures of what is usually signed would be, for the test to compare."""
    out = {}
    at = next((headers[name] for name in headers if name.endswith("timestamp")), "")
    at = at or (re.search(r"t=(\d+)", headers.get("x-signature", "")) or [None, ""])[1]
    for digest in ("sha1", "sha256", "sha512"):
        for name, text in (("body", body), ("stamped", at.encode() + b"." + body),
                           ("all", "\n".join([at, method, target, ""]).encode() + body)):
            mac = hmac_of(digest, text)
            out["%s of %s" % (digest, name)] = mac.hexdigest()
            out["%s of %s in base64" % (digest, name)] = base64.b64encode(mac.digest()).decode()
    return out


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def address_string(self):
        return "somebody"

    def made(self):
        """Where what was made is, the secrets of the request included."""
        path, mark, query = self.path.partition("?")
        return path + "/made" + mark + query

    def understood(self, headers, body):
        kind = headers.get("content-type", "")
        facts = {"method": self.command, "path": self.path, "headers": headers,
                 "type": headers.get("content-type"), "body": body.decode("latin-1"),
                 "digest": hashlib.sha256(body).hexdigest(), "via": self.server.name,
                 "peer": self.client_address[1] if self.server.name != "unix" else None,
                 "self": self.made(), "link": "http://%s%s" % (headers.get("host"), self.made()),
                 "macs": macs(headers, self.command, self.path, body)}
        if kind.startswith("multipart/"):
            facts.update(parts_of(kind, body), body=None)
        if kind.startswith("application/x-www-form-urlencoded"):
            facts["form"] = urllib.parse.parse_qsl(body.decode(), keep_blank_values=True)
        if headers.get("authorization", "").startswith("AWS4-"):
            facts["aws"] = aws_problem(self.command, self.path, headers, body) or "good"
        return facts

    def answer(self, status, facts, headers=()):
        data = json.dumps(facts).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        if status == 200:
            self.send_header("Location", self.made())
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refused(self):
        """How often a path of the form /…/failing-2 has been refused so far, and may be."""
        match = re.search(r"/failing-(\d+)", self.path)
        with lock:
            seen[self.path] = seen.get(self.path, 0) + 1
            return match and seen[self.path] <= int(match[1])

    def redirected(self):
        """/redirect/302?to=URL leads there; SELF and KEY in it are what came."""
        match = re.match(r".*/redirect/(\d+)\?(.*)", self.path)
        if match:
            query = dict(urllib.parse.parse_qsl(match[2]))
            to = query["to"].replace("SELF", urllib.parse.quote(self.path, safe=""))
            to = to.replace("KEY", query.get("api_key", ""))
            self.answer(int(match[1]), {}, [("Location", to)])
        return bool(match)

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {}
        for name, value in self.headers.items():
            headers.setdefault(name.lower(), value)
        if self.path == "/_requests":
            self.answer(200, requests)
            return
        facts = self.understood(headers, body)
        with lock:
            requests.append(facts)
        if self.redirected():
            return
        if self.refused():
            self.answer(503, {"error": "not yet", "you sent": facts}, [("Retry-After", "0")])
            return
        self.answer(409 if "/refused" in self.path else 200, facts)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = serve


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


class Server6(Server):
    address_family = socket.AF_INET6


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--with-stdin", action="store_true", help="end when stdin is closed")
    parser.add_argument("--socket", help="path of a Unix socket, where it listens too")
    options = parser.parse_args()
    servers = {"tcp": Server(("127.0.0.1", 0), Handler)}
    try:
        servers["tcp6"] = Server6(("::1", 0), Handler)
    except OSError:
        pass
    if options.socket:
        servers["unix"] = UnixServer(options.socket, Handler)
        os.chmod(options.socket, 0o777)
    ports = {}
    for name, server in servers.items():
        server.name = name
        if name != "unix":
            ports[name] = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(options.port_file + ".new", "w", encoding="ascii") as file:
        json.dump(ports, file)
    os.rename(options.port_file + ".new", options.port_file)
    if options.with_stdin:
        sys.stdin.read()
    else:
        threading.Event().wait()


if __name__ == "__main__":
    main()
