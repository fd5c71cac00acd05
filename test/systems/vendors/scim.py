"""A SCIM 2.0 service: 409 with uniqueness, lists without Resources, Location alone, 204 to PATCH.

https://www.rfc-editor.org/rfc/rfc7644, https://www.rfc-editor.org/rfc/rfc7643
"""

import json
import re

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


def error(status, detail, kind=None):
    return status, {"Content-Type": "application/scim+json"}, {
        "schemas": [ERROR], "status": str(status), "detail": detail, "scimType": kind}


class System:
    def __init__(self):
        self.users, self.deleted, self.number = {}, [], 0
        self.groups = {"g1": {"id": "g1", "displayName": "staff", "members": []}}
        self.location_only = False  # 201 has a Location and no body
        self.silent = False  # a PATCH is answered by 204
        self.lag = 0  # so many searches do not find the newest user

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
                ("GET", "/v2/Users", self.search),
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
        place = "http://%s/scim/v2/Users/%s" % (request.headers["host"], user["id"])
        user["meta"] = {"resourceType": "User", "location": place}
        self.users[user["id"]] = user
        headers = {"Location": place, "Content-Type": "application/scim+json"}
        return 201, headers, None if self.location_only else user

    def search(self, request):
        found = re.fullmatch(r'userName eq (".*")', request.parameters()["filter"])
        name = json.loads(found.group(1))
        users = [user for user in self.users.values()
                 if user["userName"].lower() == name.lower()]
        if self.lag > 0:
            self.lag -= 1
            users = []
        answer = {"schemas": [LIST], "totalResults": len(users)}
        if users:
            answer["Resources"] = users
        return 200, {"Content-Type": "application/scim+json"}, answer

    def patch(self, request, kind, name):
        things = self.users if kind == "Users" else self.groups
        if name not in things:
            return error(404, "not found")
        for change in request.json["Operations"]:
            if change["op"].lower() == "replace":
                things[name][change["path"]] = change["value"]
            elif change["op"].lower() == "add":
                have = things[name]["members"]
                have.extend(item for item in change["value"] if item not in have)
            else:
                gone = re.fullmatch(r'members\[value eq "(.*)"\]', change["path"]).group(1)
                things[name]["members"] = [item for item in things[name]["members"]
                                           if item["value"] != gone]
        if self.silent:
            return 204, {}, None
        return 200, {"Content-Type": "application/scim+json"}, things[name]

    def delete(self, _request, name):
        if name not in self.users:
            return error(404, "not found")
        self.deleted.append(self.users.pop(name))
        return 204, {}, None
