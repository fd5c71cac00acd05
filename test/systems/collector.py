#!/usr/bin/env python3
"""A collector of traces: takes OTLP/HTTP JSON on /v1/traces and keeps the spans.

collector.py --port-file FILE [--with-stdin]

GET /_spans returns them as a list, each with its resource's attributes; POST /_mode with
{"status": 503} or {"delay": 5} (seconds) makes it respond so, {} takes that back.
"""
import argparse
import http.server
import json
import os
import sys
import threading
import time

spans = []
mode = {}
lock = threading.Lock()


def attributes(of):
    return {a['key']: next(iter(a['value'].values())) for a in of.get('attributes', [])}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def respond(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with lock:
            self.respond(200, spans)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        if self.path == '/_mode':
            mode.clear()
            mode.update(json.loads(body))
            return self.respond(200, {})
        time.sleep(mode.get('delay', 0))
        if mode.get('status'):
            return self.respond(mode['status'], {})
        if self.path != '/v1/traces' or self.headers.get('Content-Type') != 'application/json':
            return self.respond(404, {})
        document = json.loads(body)
        with lock:
            for resource in document['resourceSpans']:
                for scope in resource['scopeSpans']:
                    for span in scope['spans']:
                        spans.append(dict(span, attributes=attributes(span),
                                          resource=attributes(resource['resource'])))
        self.respond(200, {'partialSuccess': {}})


parser = argparse.ArgumentParser()
parser.add_argument('--port-file', required=True)
parser.add_argument('--with-stdin', action='store_true', help='end when stdin is closed')
arguments = parser.parse_args()
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
with open(arguments.port_file + '.tmp', 'w') as file:
    json.dump({'url': 'http://127.0.0.1:%d' % server.server_address[1]}, file)
os.rename(arguments.port_file + '.tmp', arguments.port_file)
if arguments.with_stdin:
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
