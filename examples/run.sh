#!/bin/bash
#
# Plays an example on a throwaway server, from nothing to its end.
#
#   examples/run.sh NAME ...     onboarding, sales-review, off-boarding, ... or all
#
# It installs what is missing and builds, as make demo does; starts the server
# and the test systems in a temporary directory; runs NAME/schema.sql as
# superuser and NAME/workflow.sql as the role app; runs the tests in NAME/test.sql,
# which need pgTAP; tells NAME/story.sh.  The exit status is 0 only if the tests pass
# and the story ends as promised.  Nothing stays behind.

set -euo pipefail
cd "$(dirname "$0")/.."
. test/lib.sh
. test/stage.sh
export PG_CONFIG=${PG_CONFIG:-pg_config}

names()
{
	local dir

	for dir in examples/*/story.sh; do basename "${dir%/story.sh}"; done
}

# play <name>: in a shell of its own, so that one example ends before the next begins
play()
{
	local example=examples/$1 began=$SECONDS

	work=$DF_WORK/$1
	mkdir -p "$work/tmp"
	trap stop_all EXIT
	start_systems
	start_mail
	start_vendors auth0 stripe hubspot sendgrid
	# shellcheck disable=SC2046
	start_server $(preloads)
	scene "$1: the systems, the roles and the tables ($example/schema.sql), the workflow" \
		"($example/workflow.sql)"
	grep -v '^--' "$example/workflow.sql"
	# shellcheck disable=SC2046
	psql -X -q -v ON_ERROR_STOP=1 -o /dev/null -U postgres $(urls) -f "$example/schema.sql"
	psql -X -q -v ON_ERROR_STOP=1 -o /dev/null -U app -f "$example/workflow.sql"
	run_tests "$example/test.sql"
	# shellcheck disable=SC1090
	. "$example/story.sh"
	printf '\n%s%s: all promises kept, in %d s. The server and the systems are gone now.%s\n' \
		"$bold" "$1" $((SECONDS - began)) "$plain"
}

# run_tests <file>: pgTAP's lines; all must be ok, and no run may be left
run_tests()
{
	local tap=$work/test.tap

	scene "Its tests, by simulate(): without the systems, and without waiting ($1)"
	if [ "$(ask "SELECT count(*) FROM pg_available_extensions WHERE name = 'pgtap'")" = 0 ]; then
		tale "skipped: the extension pgtap is not installed (Debian: postgresql-15-pgtap)"
		return
	fi
	psql -X -q -U postgres -c 'CREATE EXTENSION pgtap'
	psql -X -q -A -t -v ON_ERROR_STOP=1 -f "$1" 2>&1 | tee "$tap" || fail "$1 ended early"
	! grep -q '^not ok' "$tap" || fail "$1 failed"
	grep -q '^1\.\.[1-9]' "$tap" || fail "$1 did not finish"
	must "the tests have left no run" "SELECT count(*) FROM dataflows.runs" 0
}

# the addresses of the systems, as variables of psql
urls()
{
	python3 - "$work/ports" "$work/mail-ports" <<-'PYTHON'
	import json, sys
	urls = json.load(open(sys.argv[1]))
	urls["smtp"] = "smtp://127.0.0.1:%d" % json.load(open(sys.argv[2]))["plain"]
	print(*("-v %s=%s" % pair for pair in urls.items()))
	PYTHON
}

preloads() { if [ -e "$("$PG_CONFIG" --pkglibdir)/pg_cron.so" ]; then echo pg_cron; fi; }

run_inside()
{
	local name

	PATH="$("$PG_CONFIG" --bindir):$PATH"
	export LC_ALL=C.UTF-8
	for name in "$@"; do
		(play "$name")
	done
}

# shellcheck disable=SC2046
[ "${1:-}" != all ] || set -- $(names)
for name in "${@:-}"; do
	if [ -z "$name" ] || [ ! -d "examples/$name" ]; then
		say "usage: examples/run.sh NAME ..., where NAME is all or one of: $(names | tr '\n' ' ')" \
			>&2
		exit 2
	fi
done
if [ -n "${DF_WORK:-}" ]; then
	run_inside "$@"
else
	test/setup.sh examples
	run_aside examples/run.sh "$@"
fi
