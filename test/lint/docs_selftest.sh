#!/bin/bash
#
# Shows that docs.sh finds what it is there for: in a copy of the tree documents
# are changed, one line for each kind of offence, and docs.sh has to report these
# and nothing else.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy" "$copy".*' EXIT
(cd "$here/../.." && tar -c --exclude=./.git --exclude='*.o' --exclude='*.so' .) | tar -x -C "$copy"
cd "$copy"
reference=docs/reference

# change <file> <sed expression>, then the lines that docs.sh has to print
change()
{
	cp "$1" "$copy.before"
	sed -i -E "$2" "$1"
	if cmp -s "$1" "$copy.before"; then
		echo "docs_selftest.sh: nothing to change in $1: $2"
		exit 1
	fi
	shift 2
	printf '%s\n' "$@" >>"$copy.expected"
}

change $reference/workflows.md "s/^  input    jsonb DEFAULT '\{\}',/  input    jsonb,/" \
	"$reference: function start(): its arguments are (workflow text, input jsonb DEFAULT '{}', \
key text DEFAULT NULL), not (workflow text, input jsonb, key text DEFAULT NULL)"
change $reference/workflows.md '/^\| `deadline` \|/d' \
	"$reference: function define_workflow(): argument \"deadline\" is not explained"
change $reference/operators.md 's/^(dataflows.adopt\(\) RETURNS) bigint/\1 int/' \
	"$reference: function adopt() returns bigint, not int"
change $reference/waits.md '/^## `alias`/,$s/\*\*Errors:\*\*//' \
	"$reference: function alias(): its errors are missing"
change $reference/http.md 's/^dataflows\.url\(/dataflows.uri(/' \
	"$reference: function url() is missing" "$reference: there is no function uri()"
change $reference/http.md 's/^dataflows.put\(step text, /dataflows.put(step name, /' \
	"$reference: function put(): its arguments are (step text, system name, path text), \
not (step name, system name, path text)"
change $reference/README.md 's/\[`forget`\]/forget/' \
	"$reference: the index has no link to forget"
change $reference/views.md 's/^\| `drifted` \|/| `drifts` |/' \
	"$reference: view runs: column \"drifted\" is missing" \
	"$reference: view runs: there is no column \"drifts\""
change $reference/views.md 's/^\| `undo_state` \| text \| none/| `undo_state` | text | nothing/' \
	"$reference: view steps: the comment on undo_state is: none, due, sent, undone, gone or \
undo_failed"
change $reference/operators.md 's/^\| `runs_held` \|/| runs |/' \
	"$reference: status(): column \"runs_held\" is missing"
change $reference/settings.md 's/^(\| `dataflows.undo_for` \|) 24h/\1 25h/' \
	"$reference: setting dataflows.undo_for: the default is 86400000, not 25h"
change $reference/settings.md 's/^(\| `dataflows.max_body` .*) superuser/\1 sighup/' \
	"$reference: setting dataflows.max_body: the context is superuser, not sighup"
change $reference/systems.md 's/^(\| `settle`.*) 0 to 30d/\1 0 to 31d/' \
	"$reference: option settle: the range is 0 to 2592000000, not 0 to 2678400000"
change $reference/systems.md 's/^(\| `connect_timeout` \|) 5s/\1 6s/' \
	"$reference: option connect_timeout: the default is 5000, not 6s"
change $reference/systems.md 's/`timeout` is 5min/`timeout` is 6min/' \
	"$reference: option timeout: for a mail server it is 300000, which the page does not say"
change $reference/errors.md '/^\| DF006 \|/d' "$reference: SQLSTATE DF006 is missing"
change $reference/states.md 's/^\| `gone` \|/| is gone |/' "$reference: state gone is missing"
change README.md 's/docs\/guide.md#doubt/docs\/guide.md#doubts/' \
	'README.md: docs/guide.md#doubts: no such heading'
change docs/guide.md 's/reference\/README.md/reference\/INDEX.md/' \
	'docs/guide.md: there is no reference/INDEX.md'

bash "$here/docs.sh" "$copy" | sort -u >"$copy.got" || true
if ! sort -u "$copy.expected" | diff - "$copy.got"; then
	echo "docs_selftest.sh: < is an offence that was not found, > is no offence"
	exit 1
fi
echo "docs_selftest.sh: $(wc -l <"$copy.expected") offences, all as expected"
