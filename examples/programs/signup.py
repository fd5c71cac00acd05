#!/usr/bin/env python3
"""An application that starts runs, waits for them and signals them: see README.md beside this file.

    signup.py add EMAIL      inserts a signup, which starts a run; prints its id
    signup.py confirm ID     signals the run: the address is confirmed
    signup.py await ID       waits in the database; holds a connection meanwhile
    signup.py poll ID        asks now and then until the run has ended; holds none
    signup.py listen ID      waits for the NOTIFY of the run; needs a connection of its own
    signup.py serve PORT     is told by the run itself, by HTTP; ends after the first time

DATABASE_URL is the database or its pooler, DIRECT_URL the database itself, for listen, if
DATABASE_URL is a pooler.
"""
import json
import os
import select
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import psycopg2

STATE = "SELECT state FROM dataflows.runs WHERE workflow = 'signup' AND key = %s"
AT_REST = ("completed", "rolled_back", "cancelled", "abandoned", "stuck")


def connect(variable="DATABASE_URL"):
    connection = psycopg2.connect(os.environ.get(variable) or os.environ["DATABASE_URL"])
    connection.autocommit = True  # each statement is a transaction
    return connection


def one(connection, sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row = cursor.fetchone()
    return row and row[0]


def add(email):
    connection = connect()
    connection.autocommit = False
    with connection:  # a transaction: if it rolls back, there is no signup and no run
        return one(connection, "INSERT INTO signups (email) VALUES (%s) RETURNING id", email)


def confirm(key):
    return one(connect(), "SELECT dataflows.signal_by_key('signup', %s, 'email-confirmed', %s)",
               key, json.dumps({"via": "python"}))


def wait_in_database(key):
    return one(connect(), "SELECT dataflows.await(dataflows.run_of('signup', %s), '1 minute',"
               " ended => true)", key)


def poll(key, seconds=60):
    connection, pause, end = connect(), 0.05, time.monotonic() + seconds
    while (state := one(connection, STATE, key)) not in AT_REST and time.monotonic() < end:
        time.sleep(pause)
        pause = min(2 * pause, 5)
    return state


def listen(key, seconds=60):
    connection, end = connect("DIRECT_URL"), time.monotonic() + seconds
    run = one(connection, "SELECT dataflows.run_of('signup', %s)", key)
    connection.cursor().execute("LISTEN signups")
    # look once after LISTEN: what was said before it is not heard
    state = one(connection, STATE, key)
    while state not in AT_REST and time.monotonic() < end:
        select.select([connection], [], [], max(0, end - time.monotonic()))
        connection.poll()
        while connection.notifies:
            heard = json.loads(connection.notifies.pop(0).payload)
            if heard["run"] == run:
                state = heard["state"]
    return state


class Told(BaseHTTPRequestHandler):
    def do_POST(self):
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        # a request may come twice, with one key: do what belongs to it once
        print(self.path, said["signup"], self.headers["Idempotency-Key"], flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def serve(port):
    HTTPServer(("127.0.0.1", int(port)), Told).handle_request()


if __name__ == "__main__":
    jobs = {"add": add, "confirm": confirm, "await": wait_in_database, "poll": poll,
            "listen": listen, "serve": serve}
    if len(sys.argv) != 3 or sys.argv[1] not in jobs:
        sys.exit(__doc__)
    answer = jobs[sys.argv[1]](sys.argv[2])
    if answer is not None:
        print(answer)
