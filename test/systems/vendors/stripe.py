"""Stripe: forms, idempotency keys with replays, lists that do not lag, deleted customers.

https://docs.stripe.com/api/idempotent_requests, /errors, /customers, /subscriptions
"""

import time


def tree(pairs):
    """a[b][0][c]=1 as nested objects; arrays stay objects of their indices"""
    out = {}
    for name, value in pairs:
        parts = name.replace("]", "").split("[")
        at = out
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        at[parts[-1]] = value
    return out


def error(status, kind, code, message):
    return status, {}, {"error": {"type": kind, "code": code, "message": message}}


def missing(what, name):
    return error(404, "invalid_request_error", "resource_missing",
                 "No such %s: '%s'" % (what, name))


class System:
    def __init__(self):
        self.key = "sk_test_hush"
        self.customers, self.subscriptions, self.methods = {}, {}, {}
        self.replies = {}
        self.number = 0
        self.replayed = 0
        self.key_ttl_s = 24 * 3600
        self.skip_s = 0  # how much later it is

    def books(self):
        return {"customers": list(self.customers.values()), "replayed": self.replayed,
                "subscriptions": list(self.subscriptions.values()), "methods": self.methods}

    def new_id(self, prefix):
        self.number += 1
        return "%s_%06d" % (prefix, self.number)

    def handle(self, request):
        if request.headers.get("authorization") != "Bearer " + self.key:
            return error(401, "invalid_request_error", None, "Invalid API Key provided")
        if request.method == "POST" and request.raw and \
                request.type != "application/x-www-form-urlencoded":
            return error(400, "invalid_request_error", None, "Send forms, not " + request.type)
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        if key is None:
            return self.act(request)
        now = time.time() + self.skip_s
        before = self.replies.get(key)
        if before and before[0] > now - self.key_ttl_s:
            if before[1] != (request.path, request.raw):
                return error(400, "idempotency_error", None, "Keys are for the same parameters")
            self.replayed += 1
            status, headers, body = before[2]
            return status, {**headers, "Idempotent-Replayed": "true"}, body
        answer = self.act(request)
        # what did not pass the validation is not kept
        if answer[0] not in (400, 401, 409, 429):
            self.replies[key] = (now, (request.path, request.raw), answer)
        return answer

    def act(self, request):
        fields = tree(request.form()) if request.method == "POST" else {}
        for method, pattern, what in (
                ("POST", "/v1/customers", self.create_customer),
                ("GET", "/v1/customers", self.list_customers),
                ("GET", "/v1/customers/(.+)", self.get_customer),
                ("POST", "/v1/customers/([^/]+)", self.update_customer),
                ("DELETE", "/v1/customers/(.+)", self.delete_customer),
                ("POST", "/v1/subscriptions", self.create_subscription),
                ("GET", "/v1/subscriptions", self.list_subscriptions),
                ("POST", "/v1/subscriptions/([^/]+)", self.update_subscription),
                ("DELETE", "/v1/subscriptions/(.+)", self.cancel_subscription),
                ("POST", "/v1/payment_methods/(.+)/attach", self.attach),
                ("POST", "/v1/payment_methods/(.+)/detach", self.detach)):
            parts = request.matches(method, pattern)
            if parts is not None:
                return what(request.parameters() if method == "GET" else fields, *parts)
        return error(404, "invalid_request_error", None, "Unrecognized request URL")

    # ---- customers

    def create_customer(self, fields):
        if fields.get("email") == "refused@example.com":
            return error(402, "card_error", "card_declined", "Your card was declined.")
        made = {"object": "customer", "metadata": {}, **fields, "id": self.new_id("cus"),
                "created": int(time.time() + self.skip_s)}
        self.customers[made["id"]] = made
        return 200, {}, made

    def list_of(self, things, fields, *names):
        since = int(fields.get("created[gte]", 0))
        found = [thing for thing in reversed(list(things)) if not thing.get("deleted")
                 and thing["created"] >= since
                 and all(thing.get(name) == fields[name] for name in names if name in fields)]
        limit = int(fields.get("limit", 10))
        return 200, {}, {"object": "list", "data": found[:limit], "has_more": len(found) > limit}

    def list_customers(self, fields):
        return self.list_of(self.customers.values(), fields, "email")

    def get_customer(self, _fields, name):
        if name not in self.customers:
            return missing("customer", name)
        customer = self.customers[name]
        if customer.get("deleted"):
            return 200, {}, {"id": name, "object": "customer", "deleted": True}
        return 200, {}, customer

    def update_customer(self, fields, name):
        if name not in self.customers or self.customers[name].get("deleted"):
            return missing("customer", name)
        customer = self.customers[name]
        customer["metadata"] = {**customer["metadata"], **fields.pop("metadata", {})}
        customer.update(fields)
        return 200, {}, customer

    def delete_customer(self, _fields, name):
        if name not in self.customers or self.customers[name].get("deleted"):
            return missing("customer", name)
        self.customers[name]["deleted"] = True
        for subscription in self.subscriptions.values():
            if subscription["customer"] == name:
                subscription["status"] = "canceled"
        return 200, {}, {"id": name, "object": "customer", "deleted": True}

    # ---- subscriptions

    def create_subscription(self, fields):
        customer = self.customers.get(fields.get("customer"), {"deleted": True})
        if customer.get("deleted"):
            return error(400, "invalid_request_error", "resource_missing", "No such customer")
        if fields.get("items", {}).get("0", {}).get("price") == "price_declined":
            return error(402, "card_error", "card_declined", "Your card was declined.")
        made = {"object": "subscription", "metadata": {}, "cancel_at_period_end": "false", **fields,
                "id": self.new_id("sub"), "status": "active",
                "created": int(time.time() + self.skip_s)}
        self.subscriptions[made["id"]] = made
        return 200, {}, made

    def list_subscriptions(self, fields):
        return self.list_of(self.subscriptions.values(), fields, "customer")

    def update_subscription(self, fields, name):
        if self.subscriptions.get(name, {"status": "canceled"})["status"] == "canceled":
            return missing("subscription", name)
        self.subscriptions[name].update(fields)
        return 200, {}, self.subscriptions[name]

    def cancel_subscription(self, _fields, name):
        if self.subscriptions.get(name, {"status": "canceled"})["status"] == "canceled":
            return missing("subscription", name)
        self.subscriptions[name]["status"] = "canceled"
        return 200, {}, self.subscriptions[name]

    # ---- payment methods

    def attach(self, fields, name):
        self.methods[name] = fields["customer"]
        return 200, {}, {"id": name, "object": "payment_method", "customer": fields["customer"]}

    def detach(self, _fields, name):
        self.methods[name] = None
        return 200, {}, {"id": name, "object": "payment_method", "customer": None}
