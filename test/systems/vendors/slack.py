"""Slack: 200 with "ok": false, histories that do not lag, forms for GET and JSON for POST.

https://docs.slack.dev/apis/web-api, /reference/methods
"""

import time


def no(what, status=200, headers=None):
    return status, headers or {}, {"ok": False, "error": what}


class System:
    def __init__(self):
        self.messages, self.channels, self.number = [], {}, 0
        self.members = {"ada@example.com": "U1"}
        self.more = False  # what is asked for is on another page of the history

    def books(self):
        return {"messages": self.messages, "channels": self.channels}

    def handle(self, request):
        if request.headers.get("authorization") != "Bearer xoxb-hush":
            return no("invalid_auth")
        method = request.path[1:]
        what = getattr(self, method.replace(".", "_"), None)
        if what is None:
            return no("unknown_method")
        if request.method == "POST" and request.json is None:
            return no("invalid_arguments")
        return what(request.parameters() if request.method == "GET" else request.json)

    def chat_postMessage(self, fields):
        if fields["channel"] == "C404":
            return no("channel_not_found")
        self.number += 1
        made = {"ts": "%d.%06d" % (time.time(), self.number), "text": fields["text"],
                "metadata": fields.get("metadata"), "channel": fields["channel"]}
        self.messages.append(made)
        return 200, {}, {"ok": True, "channel": fields["channel"], "ts": made["ts"],
                         "message": {"text": fields["text"]}}

    def chat_delete(self, fields):
        left = [m for m in self.messages
                if (m["channel"], m["ts"]) != (fields["channel"], fields["ts"])]
        if len(left) == len(self.messages):
            return no("message_not_found")
        self.messages = left
        return 200, {}, {"ok": True, "channel": fields["channel"], "ts": fields["ts"]}

    def conversations_history(self, fields):
        found = []
        for message in reversed(self.messages):
            if message["channel"] == fields["channel"] and \
                    float(message["ts"]) >= float(fields["oldest"]):
                shown = dict(message)
                del shown["channel"]
                if fields.get("include_all_metadata") != "true":
                    del shown["metadata"]
                found.append(shown)
        if self.more:
            found = []
        return 200, {}, {"ok": True, "messages": found, "has_more": self.more}

    def users_lookupByEmail(self, fields):
        if fields["email"] not in self.members:
            return no("users_not_found")
        return 200, {}, {"ok": True, "user": {"id": self.members[fields["email"]]}}

    def conversations_open(self, fields):
        return 200, {}, {"ok": True, "channel": {"id": "D" + fields["users"]}}

    def conversations_create(self, fields):
        if any(channel["name"] == fields["name"] for channel in self.channels.values()):
            return no("name_taken")
        name = "C%d" % (len(self.channels) + 1)
        self.channels[name] = {"id": name, "name": fields["name"], "archived": False,
                               "members": []}
        return 200, {}, {"ok": True, "channel": {"id": name, "name": fields["name"]}}

    def conversations_archive(self, fields):
        channel = self.channels[fields["channel"]]
        if channel["archived"]:
            return no("already_archived")
        channel["archived"] = True
        return 200, {}, {"ok": True}

    def conversations_unarchive(self, fields):
        self.channels[fields["channel"]]["archived"] = False
        return 200, {}, {"ok": True}

    def conversations_invite(self, fields):
        members = self.channels[fields["channel"]]["members"]
        if fields["users"] in members:
            return no("already_in_channel")
        members.append(fields["users"])
        return 200, {}, {"ok": True, "channel": {"id": fields["channel"]}}

    def conversations_kick(self, fields):
        members = self.channels[fields["channel"]]["members"]
        if fields["user"] not in members:
            return no("not_in_channel")
        members.remove(fields["user"])
        return 200, {}, {"ok": True}
