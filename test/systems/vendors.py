#!/usr/bin/env python3
"""Systems of vendors, for the tests of the connectors.

vendors.py --port-file FILE [--with-stdin] NAME ...

Test equipment: standard library only.  Each NAME is a module in vendors/ and is served below
/NAME.  A module behaves as the vendor's documents say; what is awkward there, first of all.
README.md beside this file has the commands.
"""

import argparse
import http.server
import importlib
import json
import os
import re
import socketserver
import sys
import threading
import time
import traceback
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "vendors"))
lock = threading.Lock()
vendors = {}


class Request:
    """What came, as a vendor sees it: its own path, the query, headers in lower case, the body."""

    def __init__(self, method, path, query, headers, raw):
        self.method, self.path, self.headers, self.raw = method, path, headers, raw
        self.query = query
        self.type = headers.get("content-type", "").partition(";")[0]
        self.json = None
        if raw and "json" in self.type:
            try:
                self.json = json.loads(raw)
            except ValueError:
                pass

    def parameters(self):
        """of the query, the first of each name"""
        return {name: values[0] for name, values in
                urllib.parse.parse_qs(self.query, keep_blank_values=True).items()}

    def form(self):
        return urllib.parse.parse_qsl(self.raw.decode(), keep_blank_values=True)

    def matches(self, method, pattern):
        """The decoded parts of the path, if it is that method and path."""
        found = re.fullmatch(pattern, self.path) if method == self.method else None
        return None if found is None else [urllib.parse.unquote(part) for part in found.groups()]


class Vendor:
    """A module's System has a handle(request) that returns status, headers and body."""

    def __init__(self, name):
        self.name = name
        self.system = importlib.import_module(name).System()
        self.log, self.faults = [], []

    def fault_of(self, request):
        for fault in self.faults:
            if fault["times"] > 0 and re.search(fault["match"],
                                                request.method + " " + request.path):
                fault["times"] -= 1
                return fault
        return {}

    def answer(self, request):
        fault = self.fault_of(request)
        answer = (fault.get("status", 503), fault.get("headers", {}), fault.get("body"))
        if fault.get("effect", not fault or fault["fault"] == "lost"):
            came = self.system.handle(request)
            answer = came if not fault or fault["fault"] == "lost" else answer
        self.log.append({"method": request.method, "path": request.path, "query": request.query,
                         "headers": request.headers, "body": request.raw.decode(errors="replace"),
                         "status": answer[0], "fault": fault.get("fault")})
        return None if fault.get("fault") == "lost" else answer

    def command(self, name, data):
        if name == "_books":
            return self.system.books()
        if name == "_log":
            return self.log
        if name == "_fault":
            self.faults.append({"times": 1, "fault": "status", **data})
        elif name == "_config":
            vars(self.system).update(data)
        elif name == "_reset":
            self.__init__(self.name)
        return {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def respond(self, status, headers, body):
        data = b""
        if body is not None:
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if data and "Content-Type" not in headers:
            self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data if status != 204 else b"")

    def handle_any(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target, _, query = self.path.partition("?")
        name, _, rest = target[1:].partition("/")
        headers = {key.lower(): value for key, value in self.headers.items()}
        if name not in vendors:
            return self.respond(404, {}, {"error": "no such vendor"})
        with lock:
            if rest.startswith("_"):
                data = json.loads(raw) if raw else None
                return self.respond(200, {}, vendors[name].command(rest, data))
            try:
                answer = vendors[name].answer(
                    Request(self.command, "/" + rest, query, headers, raw))
            except Exception:
                traceback.print_exc()
                answer = (500, {}, {"error": traceback.format_exc()})
        if answer is None:
            self.close_connection = True
            return None
        return self.respond(*answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--with-stdin", action="store_true")
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    server = Server(("127.0.0.1", 0), Handler)
    for name in arguments.names:
        vendors[name] = Vendor(name)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(arguments.port_file + ".new", "w") as file:
        json.dump({"port": server.server_port}, file)
    os.rename(arguments.port_file + ".new", arguments.port_file)
    if arguments.with_stdin:
        sys.stdin.read()
    else:
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
