"""Auth0's Management API: tokens with an audience, 409 without the id, ids with a "|".

https://auth0.com/docs/api/management/v2, https://auth0.com/docs/manage-users/user-search
"""

import urllib.parse


def error(status, code, message):
    return status, {}, {"statusCode": status, "error": code, "message": message}


class System:
    def __init__(self):
        self.audience = "https://acme.example.com/api/v2/"
        self.client = ["the client", "hush"]
        self.users, self.deleted, self.mails = {}, [], []
        self.number, self.tokens = 0, 0
        self.lag = 0  # so many searches do not find what is there

    def books(self):
        return {"users": list(self.users.values()), "deleted": self.deleted, "mails": self.mails,
                "made": self.number, "tokens": self.tokens}

    def token(self, request):
        # an application's credentials are in the body by default
        fields = dict(urllib.parse.parse_qsl(request.raw.decode()))
        if [fields.get("client_id"), fields.get("client_secret")] != self.client:
            return 401, {}, {"error": "access_denied", "error_description": "Unauthorized"}
        if fields.get("audience") != self.audience:
            return 403, {}, {"error": "access_denied",
                             "error_description": "Client is not authorized to access it"}
        self.tokens += 1
        return 200, {}, {"access_token": "token-hush", "token_type": "Bearer", "expires_in": 86400}

    def handle(self, request):
        if request.path == "/oauth/token":
            return self.token(request)
        if request.headers.get("authorization") != "Bearer token-hush":
            return error(401, "Unauthorized", "Invalid token")
        for method, pattern, what in (
                ("POST", "/api/v2/users", self.create),
                ("GET", "/api/v2/users-by-email", self.by_email),
                ("GET", "/api/v2/users/([^/]+)", self.get),
                ("PATCH", "/api/v2/users/([^/]+)", self.update),
                ("DELETE", "/api/v2/users/([^/]+)", self.delete),
                ("POST", "/api/v2/users/([^/]+)/roles", self.assign),
                ("DELETE", "/api/v2/users/([^/]+)/roles", self.remove),
                ("POST", "/api/v2/jobs/verification-email", self.verify),
                ("POST", "/api/v2/tickets/password-change", self.ticket)):
            parts = request.matches(method, pattern)
            if parts is not None:
                return what(request.parameters() if method == "GET" else request.json, *parts)
        return error(404, "Not Found", "Not Found")

    def create(self, fields):
        if fields["connection"] != "email" and len(fields.get("password", "")) < 8:
            return error(400, "Bad Request", "PasswordStrengthError: Password is too weak")
        if any(user["email"] == fields["email"] for user in self.users.values()):
            return error(409, "Conflict", "The user already exists.")
        self.number += 1
        fields.pop("password", None)
        name = "auth0|%024x" % self.number
        self.users[name] = {
            **fields, "user_id": name, "roles": [], "blocked": False,
            "identities": [{"connection": fields["connection"], "user_id": name[6:]}]}
        return 201, {}, self.users[name]

    def by_email(self, fields):
        if self.lag > 0:
            self.lag -= 1
            return 200, {}, []
        # the case of letters counts
        return 200, {}, [u for u in self.users.values() if u["email"] == fields["email"]]

    def missing(self):
        return error(404, "Not Found", "The user does not exist.")

    def get(self, _fields, name):
        return (200, {}, self.users[name]) if name in self.users else self.missing()

    def update(self, fields, name):
        if name not in self.users:
            return self.missing()
        self.users[name].update(fields)
        return 200, {}, self.users[name]

    def delete(self, _fields, name):
        # 204 also of what was not there
        if name in self.users:
            self.deleted.append(self.users.pop(name))
        return 204, {}, None

    def assign(self, fields, name):
        if name not in self.users:
            return self.missing()
        self.users[name]["roles"] = sorted({*self.users[name]["roles"], *fields["roles"]})
        return 204, {}, None

    def remove(self, fields, name):
        if name in self.users:
            self.users[name]["roles"] = [r for r in self.users[name]["roles"]
                                         if r not in fields["roles"]]
        return 204, {}, None

    def verify(self, fields):
        self.mails.append(fields["user_id"])
        return 201, {}, {"id": "job_1", "type": "verification_email", "status": "pending"}

    def ticket(self, fields):
        return 201, {}, {"ticket": "https://acme.example.com/lo/reset?ticket=%s&ttl=%d"
                         % (urllib.parse.quote(fields["user_id"]), fields["ttl_sec"])}
