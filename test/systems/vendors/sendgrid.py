"""SendGrid: 202 with an empty body and the id in a header, jobs, batches that can be cancelled.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send, /contacts, /suppressions
"""

import time


def error(status, message, field=None):
    return status, {}, {"errors": [{"message": message, "field": field, "help": None}]}


class System:
    def __init__(self):
        self.mails, self.batches, self.cancelled = [], [], []
        self.contacts, self.jobs, self.suppressed = {}, {}, []
        self.number = 0
        self.lag = 1  # so often a job is not done yet

    def books(self):
        return {"mails": self.mails, "cancelled": self.cancelled, "suppressed": self.suppressed,
                "contacts": list(self.contacts.values())}

    def new_id(self, prefix):
        self.number += 1
        return "%s%06d" % (prefix, self.number)

    def handle(self, request):
        if request.headers.get("authorization") != "Bearer SG.hush":
            return error(401, "The provided authorization grant is invalid, expired, or revoked")
        if request.raw and request.json is None:
            return error(415, "Content-Type must be application/json.")
        for method, pattern, what in (
                ("POST", "/v3/mail/send", self.send),
                ("POST", "/v3/mail/batch", self.batch),
                ("POST", "/v3/user/scheduled_sends", self.cancel),
                ("PUT", "/v3/marketing/contacts", self.put),
                ("DELETE", "/v3/marketing/contacts", self.delete),
                ("GET", "/v3/marketing/contacts/imports/(.+)", self.job),
                ("POST", "/v3/marketing/contacts/search/emails", self.search),
                ("POST", "/v3/asm/suppressions/global", self.suppress),
                ("DELETE", "/v3/asm/suppressions/global/(.+)", self.unsuppress)):
            parts = request.matches(method, pattern)
            if parts is not None:
                return what(request.parameters() if request.query else request.json, *parts)
        return error(404, "not found")

    def send(self, mail):
        if "template_id" not in mail and not mail.get("content"):
            return error(400, "Unless a valid template_id is provided, the content parameter is "
                         "required.", "content")
        if "batch_id" in mail and mail["batch_id"] not in self.batches:
            return error(400, "batch_id is not valid", "batch_id")
        if mail.get("send_at", 0) > time.time() + 72 * 3600:
            return error(400, "send_at must not be more than 72 hours from now", "send_at")
        mail["id"] = self.new_id("message-")
        self.mails.append(mail)
        return 202, {"X-Message-Id": mail["id"]}, None

    def batch(self, _fields):
        self.batches.append(self.new_id("batch-"))
        return 201, {}, {"batch_id": self.batches[-1]}

    def cancel(self, fields):
        if fields["batch_id"] not in self.batches:
            return error(400, "batch_id is not valid", "batch_id")
        if fields["batch_id"] in self.cancelled:
            return error(400, "a status for this batch id exists already", "batch_id")
        self.cancelled.append(fields["batch_id"])
        return 201, {}, fields

    def put(self, fields):
        for contact in fields["contacts"]:
            email = contact["email"].lower()
            before = self.contacts.get(email, {"id": self.new_id("contact-")})
            self.contacts[email] = {**before, **contact, "email": email,
                                    "list_ids": fields.get("list_ids", [])}
        name = self.new_id("job-")
        self.jobs[name] = self.lag
        return 202, {}, {"job_id": name}

    def job(self, _fields, name):
        self.jobs[name] -= 1
        return 200, {}, {"id": name, "status": "pending" if self.jobs[name] >= 0 else "completed"}

    def search(self, fields):
        found = {email: {"contact": self.contacts[email]}
                 for email in fields["emails"] if email in self.contacts}
        return (200, {}, {"result": found}) if found else error(404, "no contacts found")

    def delete(self, fields):
        self.contacts = {email: contact for email, contact in self.contacts.items()
                         if contact["id"] not in fields["ids"].split(",")}
        return 202, {}, {"job_id": self.new_id("job-")}

    def suppress(self, fields):
        self.suppressed = sorted({*self.suppressed, *fields["recipient_emails"]})
        return 201, {}, fields

    def unsuppress(self, _fields, email):
        if email not in self.suppressed:
            return error(404, "not found")
        self.suppressed.remove(email)
        return 204, {}, None
