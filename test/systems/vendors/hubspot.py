"""HubSpot: 409 with the id in the message, searches that lag, properties that must exist, limits.

https://developers.hubspot.com/docs/api/crm/contacts, /usage-details, /marketing-api/subscriptions
"""


def error(status, category, message):
    return status, {}, {"status": "error", "category": category, "message": message,
                        "correlationId": "00000000-0000-4000-8000-000000000000"}


class System:
    def __init__(self):
        self.known = ["email", "firstname", "lastname", "phone", "dataflows_run", "name", "domain"]
        self.contacts, self.companies, self.archived, self.purged = {}, {}, [], []
        self.links, self.subscribed, self.left = [], [], []
        self.number = 100
        self.lag = 0  # so many requests by the address come before the contact

    def books(self):
        return {"contacts": list(self.contacts.values()), "archived": self.archived,
                "companies": list(self.companies.values()), "purged": self.purged,
                "links": self.links, "subscribed": self.subscribed, "left": self.left}

    def handle(self, request):
        if request.headers.get("authorization") != "Bearer pat-hush":
            return error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found")
        for method, pattern, what in (
                ("POST", "/crm/v3/objects/contacts", self.create),
                ("POST", "/crm/v3/objects/contacts/gdpr-delete", self.purge),
                ("POST", "/crm/v3/objects/companies", self.create_company),
                ("DELETE", "/crm/v3/objects/companies/(.+)", self.archive_company),
                ("GET", "/crm/v3/objects/contacts/(.+)", self.get),
                ("PATCH", "/crm/v3/objects/contacts/(.+)", self.update),
                ("DELETE", "/crm/v3/objects/contacts/(.+)", self.archive),
                ("PUT", "/crm/v4/objects/contact/(.+)/associations/default/company/(.+)",
                 self.link),
                ("DELETE", "/crm/v4/objects/contact/(.+)/associations/company/(.+)", self.unlink),
                ("POST", "/communication-preferences/v3/(subscribe|unsubscribe)", self.prefer)):
            parts = request.matches(method, pattern)
            if parts is not None:
                return what(request.parameters() if method == "GET" else request.json, *parts)
        return error(404, "OBJECT_NOT_FOUND", "resource not found")

    def unknown(self, properties):
        for name in properties:
            if name not in self.known:
                return error(400, "VALIDATION_ERROR", 'Property "%s" does not exist' % name)
        return None

    def create(self, fields):
        email = fields["properties"]["email"]
        wrong = self.unknown(fields["properties"])
        if wrong:
            return wrong
        if "@" not in email:
            return error(400, "VALIDATION_ERROR", "Email address %s is invalid" % email)
        for contact in self.contacts.values():
            if contact["properties"]["email"] == email:
                return error(409, "CONFLICT",
                             "Contact already exists. Existing ID: " + contact["id"])
        self.number += 1
        made = {"id": str(self.number), "properties": fields["properties"], "archived": False}
        self.contacts[made["id"]] = made
        return 201, {}, made

    def get(self, fields, name):
        if self.lag > 0:
            self.lag -= 1
            return error(404, "OBJECT_NOT_FOUND", "resource not found")
        for contact in self.contacts.values():
            if name == (contact["properties"]["email"] if fields.get("idProperty") == "email"
                        else contact["id"]):
                # only what is asked for
                wanted = fields.get("properties", "email,firstname,lastname").split(",")
                return 200, {}, {**contact, "properties": {
                    key: contact["properties"].get(key) for key in wanted}}
        return error(404, "OBJECT_NOT_FOUND", "resource not found")

    def update(self, fields, name):
        wrong = self.unknown(fields["properties"])
        if wrong or name not in self.contacts:
            return wrong or error(404, "OBJECT_NOT_FOUND", "resource not found")
        self.contacts[name]["properties"].update(fields["properties"])
        return 200, {}, self.contacts[name]

    def archive(self, _fields, name):
        if name in self.contacts:
            self.archived.append(self.contacts.pop(name))
        return 204, {}, None

    def purge(self, fields):
        if fields["objectId"] in self.contacts:
            del self.contacts[fields["objectId"]]
            self.purged.append(fields["objectId"])
        return 204, {}, None

    def create_company(self, fields):
        wrong = self.unknown(fields["properties"])
        if wrong:
            return wrong
        self.number += 1
        made = {"id": str(self.number), "properties": fields["properties"], "archived": False}
        self.companies[made["id"]] = made
        return 201, {}, made

    def archive_company(self, _fields, name):
        self.companies.pop(name, None)
        return 204, {}, None

    def link(self, _fields, contact, company):
        if [contact, company] not in self.links:
            self.links.append([contact, company])
        return 200, {}, {"status": "COMPLETE"}

    def unlink(self, _fields, contact, company):
        self.links = [link for link in self.links if link != [contact, company]]
        return 204, {}, None

    def prefer(self, fields, what):
        pair = [fields["emailAddress"], fields["subscriptionId"]]
        if what == "unsubscribe":
            if pair in self.left:
                return error(400, "VALIDATION_ERROR", "%s is already unsubscribed" % pair[0])
            self.left.append(pair)
            self.subscribed = [item for item in self.subscribed if item != pair]
        elif pair in self.subscribed:
            return error(400, "VALIDATION_ERROR", "%s is already subscribed" % pair[0])
        elif pair in self.left:
            return error(400, "VALIDATION_ERROR", "%s has unsubscribed and cannot be" % pair[0])
        else:
            self.subscribed.append(pair)
        return 200, {}, {"recipient": pair[0], "id": pair[1], "status": what.upper() + "D"}
