"""A SCIM 2.0 service: 409 with uniqueness, lists without Resources, Location alone, 204 to PATCH.

https://www.rfc-editor.org/rfc/rfc7644, https://www.rfc-editor.org/rfc/rfc7643
"""

import json
import re

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


def error(status, detail, kind=None):
    return status, {"Content-Type": "application/scim+json"}, {
        "schemas": [ERROR], "status": str(status), "detail": detail, "scimType": kind}


class System:
    def __init__(self):
        self.users, self.deleted, self.number = {}, [], 0
        self.groups = {"g1": {"id": "g1", "displayName": "staff", "members": []},
                       "g2": {"id": "g2", "displayName": "board", "members": []}}
        self.location_only = False  # 201 has a Location and no body
        self.silent = False  # a PATCH is answered by 204
        self.lag = 0  # so many searches do not find the newest user
        self.external = True  # it keeps externalId
        self.strict = False  # to remove who is not a member is an error

    def books(self):
        return {"users": list(self.users.values()), "deleted": self.deleted,
                "groups": self.groups, "made": self.number}

    def handle(self, request):
        if request.headers.get("authorization") != "Bearer token-hush":
            return error(401, "unauthorized")
        if request.raw and request.type != "application/scim+json":
            return error(415, "not application/scim+json")
        for method, pattern, what in (
                ("POST", "/v2/Users", self.create),
                ("GET", "/v2/(Users|Groups)", self.search),
                ("GET", "/v2/Users/([^/]+)", self.get),
                ("PATCH", "/v2/(Users|Groups)/([^/]+)", self.patch),
                ("DELETE", "/v2/Users/([^/]+)", self.delete)):
            parts = request.matches(method, pattern)
            if parts is not None:
                return what(request, *parts)
        return error(404, "not found")

    def create(self, request):
        user = request.json
        if any(other["userName"].lower() == user["userName"].lower()
               for other in self.users.values()):
            return error(409, "userName is taken", "uniqueness")
        self.number += 1
        user["id"] = "u%d" % self.number
        if not self.external:
            user.pop("externalId", None)
        place = "http://%s/scim/v2/Users/%s" % (request.headers["host"], user["id"])
        user["meta"] = {"resourceType": "User", "location": place}
        self.users[user["id"]] = user
        headers = {"Location": place, "Content-Type": "application/scim+json"}
        return 201, headers, None if self.location_only else user

    def search(self, request, kind):
        found = re.fullmatch(r'(userName|displayName) eq (".*")', request.parameters()["filter"])
        name = json.loads(found.group(2))
        things = self.users if kind == "Users" else self.groups
        there = [thing for thing in things.values()
                 if thing[found.group(1)].lower() == name.lower()]
        if self.lag > 0 and kind == "Users":
            self.lag -= 1
            there = []
        answer = {"schemas": [LIST], "totalResults": len(there)}
        if there:
            answer["Resources"] = there
        return 200, {"Content-Type": "application/scim+json"}, answer

    def get(self, _request, name):
        if name not in self.users:
            return error(404, "not found")
        return 200, {"Content-Type": "application/scim+json"}, self.users[name]

    def patch(self, request, kind, name):
        things = self.users if kind == "Users" else self.groups
        if name not in things:
            return error(404, "not found")
        if request.json.get("schemas") != [PATCH]:
            return error(400, "schemas", "invalidSyntax")
        for change in request.json["Operations"]:
            if change["op"].lower() == "replace":
                things[name][change["path"]] = change["value"]
            elif change["op"].lower() == "add":
                have = things[name]["members"]
                have.extend(item for item in change["value"] if item not in have)
            else:
                gone = re.fullmatch(r'members\[value eq "(.*)"\]', change["path"]).group(1)
                have = things[name]["members"]
                if self.strict and not any(item["value"] == gone for item in have):
                    return error(400, "no such member", "noTarget")
                things[name]["members"] = [item for item in have if item["value"] != gone]
        if self.silent:
            return 204, {}, None
        return 200, {"Content-Type": "application/scim+json"}, things[name]

    def delete(self, _request, name):
        if name not in self.users:
            return error(404, "not found")
        self.deleted.append(self.users.pop(name))
        return 204, {}, None
