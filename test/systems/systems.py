#!/usr/bin/env python3
"""The four systems that the tests and the demo call: identity, billing, crm, email.

One process, four HTTP/1.1 services on loopback, each of which keeps books and
can be told to misbehave.  Test equipment: standard library only, no TLS, no
authentication worth the name.  README.md beside this file has the protocol.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlsplit

THINGS = {"identity": "users", "billing": "customers", "crm": "contacts", "email": "send"}
PREFIX = {"identity": "usr", "billing": "cus", "crm": "con", "email": "msg"}
REASONS = {100: "Continue", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content",
           302: "Found",
           400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden",
           404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 410: "Gone",
           411: "Length Required", 422: "Unprocessable Entity", 429: "Too Many Requests",
           500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}
FAULTS = {"status", "latency", "hang", "late", "reset_before", "lost", "truncated", "invalid_json",
          "drip",
          "huge", "half_headers", "redirect", "nul", "bad_utf8", "empty", "echo", "as_is"}
# faults after which the effect has happened all the same, unless "effect" says otherwise
AFTER_EFFECT = {"latency", "lost", "truncated", "invalid_json", "drip", "huge", "half_headers",
                "nul", "bad_utf8",
                "empty"}
MAX_REQUEST = 64 * 1024 * 1024
LOG_KEPT = 20000


class Refusal(Exception):
    """A response that is not a success."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status
        self.body = {"error": message}


def is_uuid(text):
    try:
        return str(uuid.UUID(text)) == text
    except (TypeError, ValueError, AttributeError):
        return False


def nested(pairs):
    """Form fields a[b]=c as {"a": {"b": "c"}}."""
    out = {}
    for name, value in pairs:
        parts = [p for p in re.split(r"\[|\]", name) if p]
        at = out
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        at[parts[-1] if parts else name] = value
    return out


class Fault:
    """One rule of misbehaviour."""

    number = 0

    def __init__(self, spec):
        kind = spec.get("fault", "status")
        if kind not in FAULTS:
            raise Refusal(400, "no such fault: %s" % kind)
        Fault.number += 1
        match = spec.get("match") or {}
        self.id = Fault.number
        self.kind = kind
        self.spec = spec
        self.method = match.get("method")
        self.path = re.compile(match["path"]) if match.get("path") else None
        self.email = re.compile(match["email"]) if match.get("email") else None
        self.seen_key = bool(match.get("seen_key"))
        self.skip = int(spec.get("skip", 0))
        self.times = spec.get("times")
        self.probability = spec.get("probability")
        self.hits = 0

    def effect(self):
        return bool(self.spec.get("effect", self.kind in AFTER_EFFECT))

    def applies(self, request, rng):
        if self.times is not None and self.hits >= self.times:
            return False
        if self.method and self.method != request.method:
            return False
        if self.path and not self.path.search(request.target):
            return False
        if self.email and not self.email.search(request.email() or ""):
            return False
        if self.seen_key and request.key() not in request.system.key_uses:
            return False
        if self.probability is not None and rng.random() >= self.probability:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.hits += 1
        return True

    def show(self):
        return dict(self.spec, id=self.id, hits=self.hits)


class Request:
    def __init__(self, system, method, target, headers, body):
        self.system = system
        self.method = method
        self.target = target
        self.headers = headers
        self.raw = body
        parts = urlsplit(target)
        self.path = parts.path
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self._data = None

    def data(self):
        if self._data is None:
            self._data = self._parse()
        return self._data

    def _parse(self):
        if not self.raw:
            return {}
        kind = self.headers.get("content-type", "application/json")
        try:
            if kind.startswith("application/x-www-form-urlencoded"):
                return nested(parse_qsl(self.raw.decode(), keep_blank_values=True))
            data = json.loads(self.raw)
        except ValueError:
            raise Refusal(400, "the body cannot be read")
        if not isinstance(data, dict):
            raise Refusal(400, "the body is not an object")
        return data

    def key(self):
        config = self.system.config
        if config["key_parameter"]:
            return self.query.get(config["key_parameter"])
        if config["key_field"]:
            return self.data().get(config["key_field"])
        return self.headers.get(config["idempotency_header"].lower())

    def email(self):
        """The address that the request is about, for faults and for the log."""
        try:
            data = self.data()
        except Refusal:
            return None
        address = data.get("email") or data.get("to") or self.query.get("email")
        if address is None:
            resource = self.system.resources.get(self.path.rpartition("/")[2])
            address = resource["email"] if resource else None
        return address if isinstance(address, str) else None


JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def der_of_two(*numbers):
    """A sequence of two integers, as openssl wants a signature of an elliptic curve."""
    items = b""
    for number in numbers:
        digits = number.lstrip(b"\0") or b"\0"
        if digits[0] & 0x80:
            digits = b"\0" + digits
        items += b"\x02" + bytes([len(digits)]) + digits
    return b"\x30" + bytes([len(items)]) + items


def openssl_verifies(public_key, signature, text):
    with tempfile.TemporaryDirectory() as place:
        for name, data in (("key", public_key.encode()), ("signature", signature),
                           ("text", text)):
            with open(os.path.join(place, name), "wb") as file:
                file.write(data)
        return subprocess.run(["openssl", "dgst", "-sha256", "-verify", "key", "-signature",
                               "signature", "text"], cwd=place, check=False,
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0


class Tokens:
    """The authorization server: POST /token on each service, with three grants."""

    def __init__(self, rng):
        self.rng = rng
        self.config = {"client_id": "dataflows", "client_secret": "the client's secret",
                       "auth": "both",
                       "expires_in": 3600, "say_expires": True, "uses": None,
                       "token_type": "Bearer", "scope": None,
                       "grant": "client_credentials", "fields": {}, "refresh_token": None,
                       "rotates": True, "public_key": None, "audience": None}
        self.issued = {}
        self.spent = []
        self.forms = []
        self.assertions = []
        self.asked = self.refused = self.reused = 0

    def credentials(self, request):
        """How they came, and what they are."""
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind == "Basic":
            name, _, secret = base64.b64decode(value).decode().partition(":")
            return "basic", unquote_plus(name), unquote_plus(secret)
        return "body", request.data().get("client_id"), request.data().get("client_secret")

    def refused_client(self, request):
        how, name, secret = self.credentials(request)
        if (name, secret) == (self.config["client_id"], self.config["client_secret"]) and \
                self.config["auth"] in (how, "both"):
            return None
        self.refused += 1
        return 401, {"error": "invalid_client",
                     "error_description": "not %s with %s" % (name, secret)}

    def refused_refresh(self, form):
        """A token that was used before ends the whole family, as RFC 9700 advises."""
        if form.get("refresh_token") in self.spent:
            self.reused += 1
            self.config["refresh_token"] = None
        if self.config["refresh_token"] is None or \
                form.get("refresh_token") != self.config["refresh_token"]:
            return 400, {"error": "invalid_grant"}
        return None

    def refused_assertion(self, form):
        """Checked by openssl, which knows nothing of the code that signs."""
        try:
            signed, _, signature = form.get("assertion", "").rpartition(".")
            header, claims = (json.loads(base64.urlsafe_b64decode(part + "=="))
                              for part in signed.split("."))
            signature = base64.urlsafe_b64decode(signature + "==")
        except ValueError:
            return 400, {"error": "invalid_grant"}
        if header["alg"] == "ES256":
            signature = der_of_two(signature[:32], signature[32:])
        self.assertions.append({"header": header, "claims": claims})
        valid = openssl_verifies(self.config["public_key"], signature, signed.encode())
        if not valid or claims["aud"] != self.config["audience"] or claims["exp"] < time.time():
            return 400, {"error": "invalid_grant"}
        return None

    def issue(self, request):
        self.asked += 1
        form = request.data()
        self.forms.append(form)
        grant = self.config["grant"]
        refusal = None
        if self.config["client_secret"] is not None:
            refusal = self.refused_client(request)
        if refusal is None and form.get("grant_type") != grant:
            refusal = 400, {"error": "unsupported_grant_type"}
        if refusal is None and form.get("scope") != self.config["scope"]:
            refusal = 400, {"error": "invalid_scope"}
        if refusal is None and any(form.get(name) != value
                                   for name, value in self.config["fields"].items()):
            refusal = 400, {"error": "invalid_request"}
        if refusal is None and grant == "refresh_token":
            refusal = self.refused_refresh(form)
        if refusal is None and grant == JWT_BEARER:
            refusal = self.refused_assertion(form)
        return refusal or self.grant(grant)

    def grant(self, grant):
        token = "token/%d-%032x" % (len(self.issued) + 1, self.rng.getrandbits(128))
        self.issued[token] = {"at": time.time(), "uses": 0, "revoked": False,
                              "life": self.config["expires_in"], "late": 0}
        response = {"access_token": token, "token_type": self.config["token_type"]}
        if self.config["say_expires"]:
            response["expires_in"] = self.config["expires_in"]
        if grant == "refresh_token" and self.config["rotates"]:
            self.spent.append(self.config["refresh_token"])
            self.config["refresh_token"] = "refresh-%d-%032x" % (
                len(self.spent), self.rng.getrandbits(128))
            response["refresh_token"] = self.config["refresh_token"]
        return 200, response

    def accepts(self, request):
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        entry = self.issued.get(token)
        if kind != "Bearer" or entry is None:
            return False
        if entry["life"] is not None and time.time() > entry["at"] + entry["life"]:
            entry["late"] += 1
            return False
        if entry["revoked"] or (self.config["uses"] is not None
                                and entry["uses"] >= self.config["uses"]):
            return False
        entry["uses"] += 1
        return True

    def admin(self, data):
        for entry in self.issued.values() if data.pop("revoke", False) else ():
            entry["revoked"] = True
        unknown = set(data) - set(self.config)
        if unknown:
            return 400, {"error": "no such switch: %s" % ", ".join(sorted(unknown))}
        self.config.update(data)
        return 200, {"asked": self.asked, "refused": self.refused, "issued": self.issued,
                     "reused": self.reused, "spent": len(self.spent), "forms": self.forms[-20:],
                     "refresh_token": self.config["refresh_token"],
                     "assertions": self.assertions[-20:]}


class System:
    """One service: its books, its switches, its faults."""

    def __init__(self, name, world):
        self.name = name
        self.world = world
        self.things = THINGS[name]
        self.reset()

    def reset(self):
        self.config = {"idempotency": True, "unique_email": self.name == "identity",
                       "idempotency_header": "Idempotency-Key", "bearer": None, "oauth": False,
                       "key_field": None, "key_parameter": None, "uuid_keys": False,
                       "latency_ms": 0, "location": None, "account_header": None,
                       "upsert": False, "settle_ms": 0}
        self.resources = {}
        self.live_email = {}
        self.keys = {}
        self.faults = []
        self.counts = {}
        self.key_uses = {}
        self.replays = 0
        self.log = []

    # -- the books -----------------------------------------------------------

    def enter(self, op, **what):
        """One line in the ledger, before the response leaves."""
        line = dict(what, system=self.name, op=op, at=time.time())
        self.apply(line)
        self.world.write(line)
        return line

    def apply(self, line):
        if line["op"] == "create":
            resource = {"id": line["id"], "email": line["email"], "data": line["data"],
                        "key": line.get("key"),
                        "created_at": line["at"], "deleted_at": None}
            self.resources[resource["id"]] = resource
            self.live_email.setdefault(resource["email"], []).append(resource["id"])
        elif line["op"] == "delete":
            resource = self.resources[line["id"]]
            resource["deleted_at"] = line["at"]
            self.live_email[resource["email"]].remove(resource["id"])
        elif line["op"] == "update":
            self.resources[line["id"]]["data"].update(line["data"])
        elif line["op"] == "key":
            self.keys[line["key"]] = (line["digest"], line["status"], line["answer"])
        elif line["op"] == "reset":
            self.reset()

    def live(self):
        return [r for r in self.resources.values() if r["deleted_at"] is None]

    # -- what the service does -------------------------------------------------

    def note(self, request, status, fault, together=1):
        kind = "%s /%s" % (request.method, request.path.split("/")[1])
        self.counts[kind] = self.counts.get(kind, 0) + 1
        key = request.key()
        if key:
            self.key_uses[key] = self.key_uses.get(key, 0) + 1
        if len(self.log) >= LOG_KEPT:
            del self.log[:LOG_KEPT // 2]
        self.log.append({"at": time.time(), "traceparent": request.headers.get("traceparent"),
                         "method": request.method, "target": request.target,
                         "email": request.email(), "key": key, "status": status,
                         "together": together,
                         "fault": fault.kind if fault else None, "bytes": len(request.raw),
                         "headers": request.headers,
                         "body": request.raw[:4096].decode("utf-8", "replace")})

    def perform(self, request):
        """The effect and its response; the idempotency key is looked at first."""
        key = request.key()
        if request.path == "/token" and request.method == "POST":
            return self.world.tokens.issue(request)
        if self.config["oauth"] and not self.world.tokens.accepts(request):
            return 401, {"error": "who are you?"}
        bearer = self.config["bearer"]
        if bearer and request.headers.get("authorization") != "Bearer " + bearer:
            return 401, {"error": "who are you?"}
        if self.config["uuid_keys"] and request.method == "POST" and not is_uuid(key):
            return 400, {"error": "the key must be a UUID", "got": key}
        if not key or not self.config["idempotency"] or request.method not in ("POST", "PATCH"):
            return self.act(request)
        digest = hashlib.sha256(b"%s %s\n%s" % (request.method.encode(), request.target.encode(),
                                                request.raw)).hexdigest()
        if key in self.keys:
            before, status, response = self.keys[key]
            if before != digest:
                return 422, {"error": "this idempotency key was used for another request"}
            self.replays += 1
            return status, response
        status, response = self.act(request)
        if status < 500:
            self.enter("key", key=key, digest=digest, status=status, answer=response)
        return status, response

    def act(self, request):
        parts = [unquote(p) for p in request.path.split("/")[1:]]
        if parts[0] != self.things or len(parts) > 2:
            return 404, {"error": "no such path: %s" % request.path}
        try:
            if len(parts) == 1:
                if request.method == "POST":
                    return self.create(request)
                if request.method in ("GET", "HEAD"):
                    return 200, self.listing(request.query)
                if request.method == "DELETE" and request.query:
                    return self.delete_all(request.query)
                return 405, {"error": "not here"}
            return self.one(request, parts[1])
        except Refusal as refusal:
            return refusal.status, refusal.body

    def create(self, request):
        data = dict(request.data())
        email = data.get("to" if self.name == "email" else "email")
        if not isinstance(email, str) or not email:
            return 422, {"error": "an address is missing"}
        if self.config["unique_email"] and self.live_email.get(email):
            return 409, {"error": "there is a resource of %s already" % email,
                         "id": self.live_email[email][0]}
        return self.make(request, email, data)

    def make(self, request, email, data, ident=None):
        number = len(self.resources) + 1
        if self.config["account_header"]:
            data["account"] = self.account(request)
        ident = ident or "%s_%06d%04x" % (PREFIX[self.name], number, self.world.rng.getrandbits(16))
        self.enter("create", id=ident, email=email, data=data, key=request.key())
        return 201, dict(data, id=ident)

    def listing(self, query):
        wrap = query.pop("wrap", None)
        until = time.time() - int(query.pop("lag", 0)) / 1000.0
        found = [dict(r["data"], id=r["id"]) for r in self.candidates(query)
                 if r["created_at"] <= until]
        return {wrap: found} if wrap else found

    def candidates(self, query):
        if "email" in query:
            pool = [self.resources[i] for i in self.live_email.get(query["email"], [])]
        else:
            pool = self.live()
        for name, value in query.items():
            if name == "idempotency_key":
                pool = [r for r in pool if r["key"] == value]
            elif name != "email":
                pool = [r for r in pool if str(r["data"].get(name)) == value]
        return pool

    def delete_all(self, query):
        found = [r["id"] for r in self.candidates(query)]
        for ident in found:
            self.enter("delete", id=ident)
        return (200, {"deleted": found}) if found else (404, {"error": "nothing matches"})

    def account(self, request):
        return request.headers.get(self.config["account_header"].lower(), "none")

    def is_hidden(self, request, resource):
        """In another account, or made so lately that it is not found yet."""
        return ((self.config["account_header"]
                 and resource["data"].get("account") != self.account(request))
                or time.time() < resource["created_at"] + self.config["settle_ms"] / 1000.0)

    def one(self, request, ident):
        resource = self.resources.get(ident)
        gone = resource is None or resource["deleted_at"] is not None
        if gone and request.method == "PUT" and self.config["upsert"]:
            return self.make(request, ident, dict(request.data()), ident)
        if gone or self.is_hidden(request, resource):
            return 404, {"error": "no such resource: %s" % ident}
        if request.method in ("GET", "HEAD"):
            return 200, dict(resource["data"], id=ident)
        if request.method == "DELETE":
            self.enter("delete", id=ident)
            return 200, {"id": ident, "deleted": True}
        if request.method in ("PATCH", "PUT"):
            self.enter("update", id=ident, data=request.data())
            return 200, dict(resource["data"], id=ident)
        return 405, {"error": "not here"}

    # -- administration ----------------------------------------------------------

    def admin(self, method, path, data, query):
        if path == "/_books":
            return 200, self.books()
        if path == "/_summary":
            return 200, self.summary()
        if path == "/_tokens":
            return self.world.tokens.admin(data)
        if path == "/_log":
            return 200, self.log
        if path == "/_faults":
            return self.admin_faults(method, data, query)
        if path == "/_config":
            unknown = set(data) - set(self.config)
            if unknown:
                return 400, {"error": "no such switch: %s" % ", ".join(sorted(unknown))}
            self.config.update(data)
            return 200, self.config
        if path == "/_reset":
            self.enter("reset")
            return 200, {}
        if path in ("/_down", "/_up"):
            return self.world.switch(self, path == "/_up")
        return 404, {"error": "no such command: %s" % path}

    def admin_faults(self, method, data, query):
        if method == "POST":
            fault = Fault(data)
            self.faults.append(fault)
            return 201, fault.show()
        if method == "DELETE":
            self.faults = [f for f in self.faults if "id" in query and str(f.id) != query["id"]]
        return 200, [f.show() for f in self.faults]

    def summary(self):
        """{address: [resources ever, live ones]}"""
        out = {}
        for resource in self.resources.values():
            pair = out.setdefault(resource["email"], [0, 0])
            pair[0] += 1
            pair[1] += resource["deleted_at"] is None
        return out

    def books(self):
        return {"system": self.name, "records": list(self.resources.values()),
                "live": len(self.live()),
                "requests": self.counts, "total": sum(self.counts.values()),
                "replays": self.replays,
                "resent_keys": sum(1 for n in self.key_uses.values() if n > 1),
                "faults": [f.show() for f in self.faults]}


class World:
    """The four systems, their ledger and their sockets."""

    def __init__(self, ledger=None, seed=None):
        self.rng = random.Random(seed)
        self.tokens = Tokens(self.rng)
        self.systems = {name: System(name, self) for name in THINGS}
        self.servers = {}
        self.ports = {}
        self.connections = {name: set() for name in THINGS}
        self.ledger = None
        if ledger:
            self.reload(ledger)
            self.ledger = open(ledger, "ab", buffering=0)

    def reload(self, ledger):
        if not os.path.exists(ledger):
            return
        with open(ledger) as lines:
            for line in lines:
                line = json.loads(line)
                self.systems[line["system"]].apply(line)

    def write(self, line):
        if self.ledger:
            self.ledger.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    async def listen(self, name):
        loop = asyncio.get_running_loop()
        system = self.systems.get(name)
        server = await loop.create_server(lambda: Connection(self, system), "127.0.0.1",
                                          self.ports.get(name, 0),
                                          backlog=512)
        self.servers[name] = server
        self.ports[name] = server.sockets[0].getsockname()[1]

    def switch(self, system, up):
        """Take a service down (connections too) or up again on the same port."""
        server = self.servers.get(system.name)
        if up and server is None:
            asyncio.ensure_future(self.listen(system.name))
        elif not up and server is not None:
            self.servers[system.name] = None
            server.close()
            for connection in list(self.connections[system.name]):
                connection.transport.abort()
        return 200, {"up": up}

    def urls(self):
        return {name: "http://127.0.0.1:%d" % port for name, port in self.ports.items()}


class Connection(asyncio.Protocol):
    """One client connection; system is None on the control port."""

    def __init__(self, world, system):
        self.world = world
        self.system = system
        self.buffer = bytearray()
        self.busy = False
        self.closed = False

    def connection_made(self, transport):
        self.transport = transport
        if self.system:
            self.world.connections[self.system.name].add(self)

    def connection_lost(self, exc):
        self.closed = True
        if self.system:
            self.world.connections[self.system.name].discard(self)

    def data_received(self, data):
        self.buffer += data
        self.turn()

    # -- requests in ----------------------------------------------------------

    def turn(self):
        while not self.busy and not self.closed:
            request = self.next_request()
            if request is None:
                return
            self.handle(request)

    def next_request(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        lines = bytes(self.buffer[:end]).decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        try:
            method, target, _ = lines[0].split(" ")
            length = int(headers.get("content-length", 0))
        except ValueError:
            return self.give_up(400)
        if "transfer-encoding" in headers:
            return self.give_up(411)
        if length > MAX_REQUEST:
            return self.give_up(400)
        if len(self.buffer) < end + 4 + length:
            if headers.get("expect", "").lower() == "100-continue" and len(self.buffer) == end + 4:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        body = bytes(self.buffer[end + 4:end + 4 + length])
        del self.buffer[:end + 4 + length]
        return Request(self.system, method, target, headers, body)

    def give_up(self, status):
        self.respond(status, {"error": REASONS[status]})
        self.transport.close()

    def handle(self, request):
        try:
            self.dispatch(request)
        except Refusal as refusal:
            self.respond(refusal.status, refusal.body)

    def dispatch(self, request):
        system, path = request.system, request.path
        if system is None:
            _, name, path = (path.split("/", 2) + [""])[:3]
            path = "/" + path
            system = self.world.systems.get(name)
            if system is None:
                raise Refusal(404, "no such system: %s" % name)
        if path.startswith("/_"):
            data = json.loads(request.raw) if request.raw else {}
            self.respond(*system.admin(request.method, path, data, request.query))
            return
        if request.system is None:
            raise Refusal(404, "the control port takes commands only")
        self.serve(system, request)

    def serve(self, system, request):
        # this one and those that have no response yet
        together = 1 + sum(c.busy for c in self.world.connections[system.name])
        fault = next((f for f in system.faults if f.applies(request, self.world.rng)), None)
        if fault is None:
            status, body = system.perform(request)
            system.note(request, status, None, together)
            if system.config["latency_ms"]:
                self.later(system.config["latency_ms"], lambda: self.respond(status, body))
            else:
                self.respond(status, body, head=request.method == "HEAD")
            return
        if fault.kind == "late":
            asyncio.get_running_loop().call_later(fault.spec.get("ms", 500) / 1000.0,
                                                  system.perform, request)
        status, body = system.perform(request) if fault.effect() else (None, None)
        system.note(request, status, fault, together)
        self.echoed = request.headers
        getattr(self, "fault_" + fault.kind)(fault.spec, status, body)

    # -- responses out ----------------------------------------------------------

    def respond(self, status, body, extra="", head=False):
        where = self.system.config["location"] if self.system else None
        if status == 201 and where is not None:
            # what was made is named by a header alone
            extra += "Location: %s/%s/%s\r\n" % (where, self.system.things, quote(body["id"]))
            body = ""
        payload = b""
        if status != 204 and body != "":
            payload = json.dumps(body, separators=(",", ":")).encode()
        self.send(status, payload, extra, head=head)

    def send(self, status, payload, extra="", kind="application/json", head=False):
        text = "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n" % (
            status, REASONS.get(status, "Whatever"), kind, len(payload), extra)
        self.transport.write(text.encode() + (b"" if head else payload))

    def later(self, ms, action):
        """No other request of this connection before the response to this one."""
        self.busy = True
        asyncio.get_running_loop().call_later(ms / 1000.0, self.resume, action)

    def resume(self, action):
        self.busy = False
        if not self.closed:
            action()
            self.turn()

    def fault_status(self, spec, status, body):
        extra = "".join("%s: %s\r\n" % header for header in spec.get("headers", {}).items())
        if "retry_after" in spec:
            extra += "Retry-After: %s\r\n" % spec["retry_after"]
        if "page" in spec:
            self.send(int(spec.get("status", 503)), spec["page"].encode(), extra, "text/html")
            return
        response = spec.get("body", {"error": "as you wished"})
        self.respond(int(spec.get("status", 503)), response, extra)

    def fault_echo(self, spec, status, body):
        """What some systems do: send back what they were sent."""
        self.respond(int(spec.get("status", 422)), {"error": "look what you sent",
                                                    "headers": self.echoed},
                     "X-Echo: %s\r\n" % self.echoed.get("authorization", "none"))

    def fault_latency(self, spec, status, body):
        self.later(spec.get("ms", 100), lambda: self.respond(status, body))

    def fault_hang(self, spec, status, body):
        self.busy = True

    # carried out when the client has long stopped waiting
    fault_late = fault_hang

    def fault_reset_before(self, spec, status, body):
        self.transport.abort()

    fault_lost = fault_reset_before

    def fault_truncated(self, spec, status, body):
        payload = json.dumps(body).encode()
        head = ("HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % (status, len(payload)))
        self.transport.write(head.encode() + payload[:len(payload) // 2])
        self.transport.close()

    def fault_invalid_json(self, spec, status, body):
        self.send(status, b'{"id": "broken')

    def fault_nul(self, spec, status, body):
        self.send(status, b'{"id": "a\\u0000b"}')

    def fault_bad_utf8(self, spec, status, body):
        self.send(status, b'{"id": "\xff\xfe"}')

    def fault_as_is(self, spec, status, body):
        """These bytes under these headers, which may say anything."""
        payload = base64.b64decode(spec.get("base64", ""))
        lines = "".join("%s: %s\r\n" % (name, value) for name, value in spec.get("headers", []))
        code = int(spec.get("status", 201))
        head = "HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\n\r\n" % (
            code, REASONS.get(code, "Whatever"), lines, len(payload))
        self.transport.write(head.encode("latin-1") + payload)

    def fault_empty(self, spec, status, body):
        self.send(status, b"")

    def fault_drip(self, spec, status, body):
        payload = json.dumps(body).encode()
        self.busy = True
        head = ("HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % (status, len(payload)))
        self.transport.write(head.encode())
        asyncio.ensure_future(self.drip(payload, spec.get("ms", 200) / 1000.0))

    async def drip(self, payload, pause):
        for byte in payload:
            await asyncio.sleep(pause)
            if self.closed:
                return
            self.transport.write(bytes([byte]))
        self.resume(lambda: None)

    def fault_huge(self, spec, status, body):
        payload = json.dumps(dict(body, filler="x" * int(spec.get("bytes", 5000000)))).encode()
        self.send(status, payload)

    def fault_half_headers(self, spec, status, body):
        self.transport.write(b"HTTP/1.1 201 Created\r\nContent-Type: applic")
        self.transport.close()

    def fault_redirect(self, spec, status, body):
        where = spec.get("location", "http://169.254.169.254/latest/meta-data/")
        self.respond(int(spec.get("status", 302)), {}, "Location: %s\r\n" % where)


def announce(args, world):
    text = json.dumps(dict(world.urls(), pid=os.getpid()))
    if args.port_file:
        with open(args.port_file + ".tmp", "w") as out:
            out.write(text + "\n")
        os.rename(args.port_file + ".tmp", args.port_file)
    else:
        print(text, flush=True)


async def serve(args):
    loop = asyncio.get_running_loop()
    stop = loop.create_future()

    def finish():
        if not stop.done():
            stop.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, finish)
    if args.with_stdin:
        loop.add_reader(0, lambda: None if os.read(0, 4096) else (loop.remove_reader(0), finish()))
    world = World(args.books, args.seed)
    if args.ports:
        world.ports = dict(zip(list(THINGS) + ["control"], (int(p) for p in args.ports.split(","))))
    for name in list(THINGS) + ["control"]:
        await world.listen(name)
    announce(args, world)
    await stop


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port-file", help="write the addresses there instead of to stdout")
    parser.add_argument("--ports",
                        help="identity,billing,crm,email,control; default: chosen by the system")
    parser.add_argument("--books", help="append-only ledger; read at the start if it is there")
    parser.add_argument("--seed", type=int, help="of the randomness in faults and ids")
    parser.add_argument("--with-stdin", action="store_true", help="end when stdin is closed")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
