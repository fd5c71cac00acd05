#!/usr/bin/env python3
"""Do the four systems keep their books, and do they fail as told?"""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from urllib.parse import urlsplit

import checker

HERE = os.path.dirname(os.path.abspath(__file__))


class Client:
    def __init__(self, url):
        self.address = urlsplit(url).netloc
        self.connection = None

    def __call__(self, method, path, body=None, headers=None, timeout=5, raw=False):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, timeout=timeout)
        data = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        try:
            self.connection.request(method, path, data, headers or {})
            response = self.connection.getresponse()
            text = response.read()
        except Exception:
            self.close()
            raise
        self.last = response
        if raw:
            return response.status, text
        return response.status, json.loads(text) if text else None

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class SystemsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.ledger = os.path.join(cls.directory.name, "books")
        cls.start()

    @classmethod
    def start(cls):
        cls.process = subprocess.Popen([sys.executable, os.path.join(HERE, "systems.py"), "--books",
                                        cls.ledger,
                                        "--seed", "1", "--with-stdin"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        cls.urls = json.loads(cls.process.stdout.readline())

    @classmethod
    def stop(cls):
        cls.process.stdin.close()
        cls.process.stdout.close()
        cls.process.wait(5)

    @classmethod
    def tearDownClass(cls):
        cls.stop()
        cls.directory.cleanup()

    def setUp(self):
        for name in ("identity", "billing", "crm", "email"):
            client = Client(self.urls[name])
            client("POST", "/_reset")
            setattr(self, name, client)
            self.addCleanup(client.close)

    def test_create_read_delete(self):
        status, user = self.identity("POST", "/users", {"email": "a@x"})
        self.assertEqual(status, 201)
        self.assertEqual(user["email"], "a@x")
        self.assertEqual(self.identity("GET", "/users/" + user["id"])[1], user)
        self.assertEqual(self.identity("GET", "/users?email=a%40x")[1], [user])
        self.assertEqual(self.identity("GET", "/users?email=b%40x")[1], [])
        self.assertEqual(self.identity("PATCH", "/users/" + user["id"], {"name": "A"})[1]["name"],
                         "A")
        self.assertEqual(self.identity("DELETE", "/users/" + user["id"])[0], 200)
        self.assertEqual(self.identity("DELETE", "/users/" + user["id"])[0], 404)
        books = self.identity("GET", "/_books")[1]
        self.assertEqual((len(books["records"]), books["live"]), (1, 0))
        self.assertEqual(self.identity("GET", "/_summary")[1], {"a@x": [1, 0]})
        self.assertEqual(books["requests"]["DELETE /users"], 2)

    def test_form_bodies(self):
        status, made = self.billing("POST", "/customers", "email=a%40x&metadata[account]=7",
                                    {"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual((status, made["metadata"]), (201, {"account": "7"}))

    def test_bad_requests(self):
        self.assertEqual(self.identity("POST", "/users", "{nonsense")[0], 400)
        self.assertEqual(self.identity("POST", "/users", {})[0], 422)
        self.assertEqual(self.identity("GET", "/nothing")[0], 404)
        self.assertEqual(self.identity("PUT", "/users")[0], 405)
        self.assertEqual(self.identity("DELETE", "/users")[0], 405)
        self.assertEqual(self.identity("DELETE", "/users?email=nobody@x")[0], 404)
        self.assertEqual(self.identity("POST", "/_config", {"nonsense": 1})[0], 400)

    def test_unique_email(self):
        self.identity("POST", "/users", {"email": "a@x"})
        self.assertEqual(self.identity("POST", "/users", {"email": "a@x"})[0], 409)
        self.identity("POST", "/_config", {"unique_email": False})
        self.assertEqual(self.identity("POST", "/users", {"email": "a@x"})[0], 201)

    def test_idempotency(self):
        key = {"Idempotency-Key": "k1"}
        first = self.billing("POST", "/customers", {"email": "a@x"}, key)
        self.assertEqual(self.billing("POST", "/customers", {"email": "a@x"}, key), first)
        self.assertEqual(self.billing("POST", "/customers", {"email": "b@x"}, key)[0], 422)
        self.assertEqual(self.billing("GET", "/customers?idempotency_key=k1")[1], [first[1]])
        books = self.billing("GET", "/_books")[1]
        self.assertEqual((books["live"], books["replays"], books["resent_keys"]), (1, 1, 1))
        self.billing("POST", "/_config", {"idempotency": False})
        self.assertNotEqual(self.billing("POST", "/customers", {"email": "a@x"}, key)[1]["id"],
                            first[1]["id"])

    def test_bearer(self):
        self.crm("POST", "/_config", {"bearer": "s3cret"})
        self.assertEqual(self.crm("GET", "/contacts")[0], 401)
        self.assertEqual(self.crm("GET", "/contacts",
                                  headers={"Authorization": "Bearer s3cret"})[0], 200)

    def test_status_so_many_times(self):
        self.crm("POST", "/_faults", {"match": {"method": "POST", "email": "^a@"}, "times": 2,
                                      "status": 503,
                                      "retry_after": 1})
        self.assertEqual(self.crm("POST", "/contacts", {"email": "b@x"})[0], 201)
        self.assertEqual(self.crm("POST", "/contacts", {"email": "a@x"})[0], 503)
        self.assertEqual(self.crm.last.headers["Retry-After"], "1")
        self.assertEqual(self.crm("POST", "/contacts", {"email": "a@x"})[0], 503)
        self.assertEqual(self.crm("POST", "/contacts", {"email": "a@x"})[0], 201)
        self.assertEqual(self.crm("GET", "/_faults")[1][0]["hits"], 2)
        self.assertEqual(self.crm("DELETE", "/_faults")[1], [])

    def test_resets(self):
        self.email("POST", "/_faults", {"fault": "reset_before", "times": 1})
        with self.assertRaises((ConnectionError, http.client.HTTPException)):
            self.email("POST", "/send", {"to": "a@x"})
        self.assertEqual(self.email("GET", "/_books")[1]["live"], 0)
        self.email("POST", "/_faults", {"fault": "lost", "times": 1})
        with self.assertRaises((ConnectionError, http.client.HTTPException)):
            self.email("POST", "/send", {"to": "a@x"})
        self.assertEqual(self.email("GET", "/_books")[1]["live"], 1)

    def test_lost_response_is_replayed(self):
        self.email("POST", "/_faults", {"fault": "lost", "times": 1})
        key = {"Idempotency-Key": "k"}
        with self.assertRaises((ConnectionError, http.client.HTTPException)):
            self.email("POST", "/send", {"to": "a@x"}, key)
        self.assertEqual(self.email("POST", "/send", {"to": "a@x"}, key)[0], 201)
        self.assertEqual(self.email("GET", "/_books")[1]["live"], 1)

    def test_broken_responses(self):
        self.crm("POST", "/_faults", {"fault": "truncated", "times": 1})
        with self.assertRaises((ConnectionError, http.client.HTTPException)):
            self.crm("POST", "/contacts", {"email": "a@x"})
        self.crm("POST", "/_faults", {"fault": "half_headers", "times": 1})
        with socket.create_connection(self.crm.address.split(":")) as line:
            line.sendall(b"POST /contacts HTTP/1.1\r\nContent-Length: 13\r\n\r\n{\"email\":\"a\"}")
            self.assertNotIn(b"\r\n\r\n", b"".join(iter(lambda: line.recv(4096), b"")))
        self.crm("POST", "/_faults", {"fault": "invalid_json", "times": 1})
        with self.assertRaises(ValueError):
            self.crm("POST", "/contacts", {"email": "a@x"})
        self.crm("POST", "/_faults", {"fault": "huge", "times": 1, "bytes": 3000000})
        self.assertGreater(len(self.crm("POST", "/contacts", {"email": "a@x"}, raw=True)[1]),
                           3000000)
        self.crm("POST", "/_faults", {"fault": "redirect", "times": 1})
        self.assertEqual(self.crm("POST", "/contacts", {"email": "a@x"})[0], 302)
        for fault, text in (("nul", b"\\u0000"), ("bad_utf8", b"\xff")):
            self.crm("POST", "/_faults", {"fault": fault, "times": 1})
            self.assertIn(text, self.crm("POST", "/contacts", {"email": "a@x"}, raw=True)[1])

    def test_slow_responses(self):
        self.crm("POST", "/_faults", {"fault": "hang", "times": 1})
        slow = Client(self.urls["crm"])
        with self.assertRaises(OSError):
            slow("GET", "/contacts", timeout=0.2)
        self.crm("POST", "/_faults", {"fault": "latency", "times": 1, "ms": 150})
        begun = time.monotonic()
        self.crm("GET", "/contacts")
        self.assertGreater(time.monotonic() - begun, 0.14)
        self.crm("POST", "/_faults", {"fault": "drip", "times": 1, "ms": 5})
        begun = time.monotonic()
        self.assertEqual(self.crm("POST", "/contacts", {"email": "a@x"})[0], 201)
        self.assertGreater(time.monotonic() - begun, 0.1)
        self.assertEqual(self.crm("GET", "/contacts")[0], 200)

    def test_down_and_up(self):
        control = Client(self.urls["control"])
        self.addCleanup(control.close)
        control("POST", "/crm/_down")
        self.crm.close()
        with self.assertRaises(OSError):
            self.crm("GET", "/contacts")
        control("POST", "/crm/_up")
        time.sleep(0.05)
        self.assertEqual(self.crm("GET", "/contacts")[0], 200)

    def test_books_survive(self):
        key = {"Idempotency-Key": "k"}
        made = self.identity("POST", "/users", {"email": "a@x"}, key)[1]
        gone = self.identity("POST", "/users", {"email": "b@x"})[1]
        self.identity("DELETE", "/users/" + gone["id"])
        self.identity.close()
        type(self).stop()
        type(self).start()
        again = Client(self.urls["identity"])
        self.addCleanup(again.close)
        self.assertEqual(again("GET", "/users")[1], [made])
        self.assertEqual(again("POST", "/users", {"email": "a@x"}, key)[1], made)
        self.assertEqual(len(again("GET", "/_books")[1]["records"]), 2)


class CheckerTest(unittest.TestCase):
    """Does the checker take what AWS publishes as signed, and nothing else?"""

    DATE = "20150830T123600Z"
    SIGNED = {
        ("GET", "/", "service"):
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ("GET", "/?Param2=value2&Param1=value1", "service"):
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ("POST", "/", "service"):
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    }

    def problem(self, method, target, service, signature, **headers):
        names = ";".join(sorted(["host", "x-amz-date"] + [n.replace("_", "-") for n in headers]))
        lines = {name.replace("_", "-"): value for name, value in headers.items()}
        lines.setdefault("host", "example.amazonaws.com")
        lines["x-amz-date"] = self.DATE
        lines["authorization"] = (
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/%s/aws4_request, "
            "SignedHeaders=%s, Signature=%s" % (service, names, signature))
        return checker.aws_problem(method, target, lines, b"")

    def test_published(self):
        for (method, target, service), signature in self.SIGNED.items():
            self.assertIsNone(self.problem(method, target, service, signature), target)
            self.assertIsNotNone(self.problem(method, target + "x", service, signature))


if __name__ == "__main__":
    unittest.main()
