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

# change <file> <sed expression> <what docs.sh has to say>
change()
{
	cp "$1" "$copy.before"
	sed -i -E "$2" "$1"
	if cmp -s "$1" "$copy.before"; then
		echo "docs_selftest.sh: nothing to change in $1: $2"
		exit 1
	fi
	echo "$3" >>"$copy.expected"
}

: >"$copy.expected"
reference=docs/reference
change $reference/workflows.md "s/^  input    jsonb DEFAULT '\{\}',/  input    jsonb,/" \
	"docs/reference: function start(): its arguments are (workflow text, input jsonb DEFAULT '{}', key text DEFAULT NULL), not (workflow text, input jsonb, key text DEFAULT NULL)"
change $reference/workflows.md '/^\| `deadline` \|/d' 'docs/reference: function define_workflow(): argument "deadline" is not explained'
change $reference/operators.md 's/^dataflows.adopt\(\) RETURNS bigint/dataflows.adopt() RETURNS int/' \
	'docs/reference: function adopt() returns bigint, not int'
change $reference/waits.md '/^## `alias`/,$s/\*\*Errors:\*\*//' 'docs/reference: function alias(): its errors are missing'
change $reference/http.md 's/^dataflows\.url\(/dataflows.uri(/' 'docs/reference: function url() is missing'
echo 'docs/reference: there is no function uri()' >>"$copy.expected"
change $reference/README.md 's/\[`forget`\]/forget/' 'docs/reference: the index has no link to forget'
change $reference/views.md 's/^\| `drifted` \|/| `drifts` |/' 'docs/reference: view runs: column "drifted" is missing'
echo 'docs/reference: view runs: there is no column "drifts"' >>"$copy.expected"
change $reference/settings.md 's/^(\| `dataflows.undo_for` \|) 24h/\1 25h/' \
	'docs/reference: setting dataflows.undo_for: the default is 86400000, not 25h'
change $reference/systems.md 's/^(\| `settle`.*) 0 to 30d/\1 0 to 31d/' \
	'docs/reference: option settle: the range is 0 to 2592000000, not 0 to 2678400000'
change $reference/errors.md '/^\| DF006 \|/d' 'docs/reference: SQLSTATE DF006 is missing'
change README.md 's/docs\/guide.md#doubt/docs\/guide.md#doubts/' 'README.md: docs/guide.md#doubts: no such heading'
change docs/guide.md 's/reference\/README.md/reference\/INDEX.md/' 'docs/guide.md: there is no reference/INDEX.md'
change docs/invariants.md '/^\| I1 \|/s/store\/xact\.c/store\/xacts.c/' 'docs/invariants.md: there is no file store/xacts.c'
change docs/invariants.md '/^\| I5 \|/s/df_body_enter/df_enter_body/' 'docs/invariants.md: src has no df_enter_body'
echo 'docs/invariants.md: engine/body.c has no df_enter_body' >>"$copy.expected"
change docs/invariants.md '/^\| I1 \|/s/take_back/turn_back/' 'docs/invariants.md: worker/turn.c has no turn_back'

bash "$here/docs.sh" "$copy" | sort -u >"$copy.got" || true
if ! sort -u "$copy.expected" | diff - "$copy.got"; then
	echo "docs_selftest.sh: < is an offence that was not found, > is no offence"
	exit 1
fi
echo "docs_selftest.sh: $(wc -l <"$copy.expected") offences, all as expected"
