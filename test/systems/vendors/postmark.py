"""Postmark: a token in a header of its own, metadata that are searched later, 200 that failed.

https://postmarkapp.com/developer/api/email-api, /messages-api, /suppressions-api
"""

from email.utils import parseaddr


def error(status, code, message):
    return status, {}, {"ErrorCode": code, "Message": message}


class System:
    def __init__(self):
        self.mails, self.suppressed, self.complained = [], [], ["spam@example.com"]
        self.lag = 0  # so many searches do not find the newest mail

    def books(self):
        return {"mails": self.mails, "suppressed": self.suppressed}

    def handle(self, request):
        if request.headers.get("x-postmark-server-token") != "token-hush":
            return error(401, 10, "No Account or Server API tokens were supplied")
        for method, pattern, what in (
                ("POST", "/email", self.send),
                ("POST", "/email/withTemplate", self.send),
                ("GET", "/messages/outbound", self.search),
                ("POST", "/message-streams/([^/]+)/suppressions", self.suppress),
                ("POST", "/message-streams/([^/]+)/suppressions/delete", self.unsuppress)):
            parts = request.matches(method, pattern)
            if parts is not None:
                return what(request.parameters() if method == "GET" else request.json, *parts)
        return error(404, 0, "not found")

    def send(self, fields):
        for value in fields["Metadata"].values():
            if len(value) > 80:
                return error(422, 1305, "Metadata value is too long")
        if not ("TextBody" in fields or "HtmlBody" in fields or "TemplateAlias" in fields):
            return error(422, 300, "Provide either email TextBody or HtmlBody or both.")
        if fields["To"] in self.suppressed + self.complained:
            return error(422, 406, "You tried to send to a recipient that has been marked as "
                         "inactive.")
        name = "message-%d" % (len(self.mails) + 1)
        self.mails.append({**fields, "MessageID": name})
        return 200, {}, {"ErrorCode": 0, "Message": "OK", "MessageID": name, "To": fields["To"]}

    def search(self, fields):
        mails = list(self.mails)
        if self.lag > 0:
            self.lag -= 1
            mails.pop()
        wanted = {name[9:]: value for name, value in fields.items() if name.startswith("metadata_")}
        found = [{"MessageID": mail["MessageID"], "Metadata": mail["Metadata"],
                  "Recipients": [mail["To"]], "Status": "Sent"} for mail in mails
                 # the address of a recipient, without its name
                 if fields.get("recipient", parseaddr(mail["To"])[1]) == parseaddr(mail["To"])[1]
                 and all(mail["Metadata"].get(name) == wanted[name] for name in wanted)]
        return 200, {}, {"TotalCount": len(found), "Messages": found}

    def each(self, fields, change):
        out = []
        for item in fields["Suppressions"]:
            email = item["EmailAddress"].lower()
            status = change(email)
            out.append({"EmailAddress": email, "Status": status, "Message": None})
        return 200, {}, {"Suppressions": out}

    def suppress(self, fields, _stream):
        def change(email):
            self.suppressed = sorted({*self.suppressed, email})
            return "Suppressed"
        return self.each(fields, change)

    def unsuppress(self, fields, _stream):
        def change(email):
            if email in self.complained:
                return "Failed"
            self.suppressed = [other for other in self.suppressed if other != email]
            return "Deleted"
        return self.each(fields, change)
