"""The functions of the schema dataflows, for bodies in PL/Python: see docs/python.md.

    import dataflows
    account = dataflows.post('create-account', 'identity', '/users', {'email': email},
                             undo='DELETE /users/{id}')

A function has the name and the arguments that it has in SQL; arguments with a default are given
by name.  What it returns is what SQL returns, JSON as dict, list and so on.  The module keeps
nothing between two calls.
"""
import datetime
import json

import plpy

_JSONB, _JSON, _VOID = 3802, 114, 2278


class Failed(plpy.SPIError):
    """A step has failed (SQLSTATE DF001).  detail is what dataflows.failure() returns.  If a body
    lets it through, the engine judges it as it does in any other language."""


def _sqlstate(error):
    # PL/Python gives an attribute sqlstate to PostgreSQL's own errors only
    return "".join(chr((error.spidata[0] >> 6 * place & 63) + 48) for place in range(5))


def _literal(value, function):
    if value is None:
        return "NULL"
    if isinstance(value, dict):
        return plpy.quote_literal(json.dumps(value)) + "::jsonb"
    if isinstance(value, (list, tuple)):
        if function == "wait_any":  # the only one that takes an array
            return "ARRAY[%s]" % ", ".join(plpy.quote_literal(str(each)) for each in value)
        return plpy.quote_literal(json.dumps(value)) + "::jsonb"
    if isinstance(value, datetime.timedelta):
        return plpy.quote_literal("%s s" % value.total_seconds()) + "::interval"
    # a literal without a type becomes what the argument is
    return plpy.quote_literal(str(value))


def _call(function, *values, **named):
    arguments = [_literal(value, function) for value in values]
    arguments += ["%s => %s" % (plpy.quote_ident(name), _literal(value, function))
                  for name, value in named.items()]
    try:
        result = plpy.execute("SELECT dataflows.%s(%s) AS output"
                              % (plpy.quote_ident(function), ", ".join(arguments)))
    except plpy.SPIError as error:
        if _sqlstate(error) != "DF001":
            raise
        failed = Failed(*error.args)
        failed.spidata = error.spidata  # by which it stays what it is, if nobody catches it
        failed.detail = _call("failure")
        raise failed from None
    output, kind = result[0]["output"], result.coltypes()[0]
    if kind == _VOID or output is None:
        return None
    return json.loads(output) if kind in (_JSONB, _JSON) else output


def __getattr__(name):
    if name.startswith("_"):
        raise AttributeError(name)
    return lambda *values, **named: _call(name, *values, **named)
