#!/bin/bash
#
# Shows that each rule of form.sh, names.sh and rooms.sh fires: in a copy of the tree, one
# offence of each kind is planted, with forms beside it that are allowed, and the lint has
# to report the planted lines and no others more than it did before.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/tree"
(cd "$here/../.." && tar -c --exclude=./.git --exclude='*.o' --exclude='*.so' .) |
	tar -x -C "$copy/tree"
cd "$copy/tree"
planted=0
rules=0
# a rule that cannot fire here
skipped=none

# lint <script>: the offences without their words
lint() { "$here/$1" "$copy/tree" 2>/dev/null | sed -E 's/^([^:]*:[0-9]+: [a-z-]+):.*/\1/'; }

# prove <script> <function that plants> ...
prove()
{
	local script=$1 plant

	shift
	lint "$script" >"$copy/before" || true
	: >"$copy/expected"
	for plant in "$@"; do "$plant"; done
	if "$here/$script" "$copy/tree" >/dev/null 2>&1; then
		echo "$script succeeds on a tree with offences"
		exit 1
	fi
	lint "$script" >"$copy/after" || true
	LC_ALL=C sort -u "$copy/before" "$copy/expected" >"$copy/wanted"
	LC_ALL=C sort -u "$copy/after" >"$copy/got"
	if ! diff "$copy/wanted" "$copy/got"; then
		echo "selftest.sh: $script: < is an offence that was not found, > is no offence"
		exit 1
	fi
	sed 's/.*: //' "$copy/expected" | LC_ALL=C sort -u >"$copy/fired"
	if ! "$here/$script" --rules | grep -vx "$skipped" | LC_ALL=C sort | diff - "$copy/fired"; then
		echo "selftest.sh: $script: < is a rule without a planted offence"
		exit 1
	fi
	rules=$((rules + $(wc -l <"$copy/fired")))
}

# expect <file> <line> <rule>; the rule "ok" expects nothing
expect()
{
	planted=$((planted + 1))
	[ "$3" = ok ] || echo "$1:$2: $3" >>"$copy/expected"
}

essay()
{
	printf '%s\n' '/*' " * ${1#src/}" $' *\t  Planted.' ' *' ' * Runs nowhere, in no transaction' \
		' * and no role, and must never' ' * be kept.' ' */'
}

# c <room> <rule> <line>: a file of its own with that one line, which is line 9
c()
{
	local file=src/$1/planted_$planted.c

	file=${file/\/.\//\/}
	mkdir -p "src/$1"
	{ essay "$file" && printf '%s\n' "$3"; } >"$file"
	expect "$file" 9 "$2"
}

# sql <rule> <line>
sql()
{
	local file=src/sql/99_planted_$planted.sql

	printf '%s\n' "$2" >"$file"
	expect "$file" 1 "$1"
}

# function_of <lines> <rule>
function_of()
{
	local file=src/flow/planted_$planted.c

	{
		essay "$file"
		printf 'int\nplanted(void)\n{\n'
		printf '\tcall(%d);\n' $(seq "$1")
		printf '}\n'
	} >"$file"
	expect "$file" 11 "$2"
}

plant_includes()
{
	c flow include-arrows '#include "store/store.h"'
	c store include-arrows '#include "engine/outcome.h"'
	c store ok '#include "flow/flow.h"'
	c http include-arrows '#include "guc.h"'
	c http ok '#include "compat.h"'
	c http ok '#include "types/run.h"'
	c types ok '#include "types/run.h"'
	c types include-arrows '#include "flow/flow.h"'
	c types include-arrows '#include "compat.h"'
	c shared include-arrows '#include "flow/flow.h"'
	c session include-arrows '#include "http/client.h"'
	c engine include-arrows '#include "http/client.h"'
	c engine ok '#include "http/url.h"'
	c worker ok '#include "engine/outcome.h"'
	c worker include-arrows '#include "session/planted.h"'
	c fdw ok '#include "http/url.h"'
	c fdw include-arrows '#include "store/store.h"'
	c ingress ok '#include "store/store.h"'
	c ingress include-arrows '#include "http/client.h"'
	c . ok '#include "engine/outcome.h"'
	printf '/*\n * planted.h\n *	  Planted.\n */\n#include "guc.h"\n' >src/planted.h
	expect src/planted.h 5 include-arrows
	c flow include-arrows '#include "flow.h"'
	c flow ok '#include "utils/builtins.h"'
	c flow ok '/* #include "store/store.h" */'
	: >src/session/planted.h
	printf '/*\n * session/planted.h\n *	  Planted: what\n *	  it is.\n */\n' \
		>src/session/planted.h
}

# two files that lead to each other, and a third that leads to them
plant_circle()
{
	local room name

	for room in engine http worker; do
		for name in day night; do
			printf '/*\n * %s/planted_%s.h\n *\t  Planted: what\n *\t  it is.\n */\n' \
				$room ${room}_$name >src/$room/planted_${room}_$name.h
			essay src/$room/planted_${room}_$name.c >src/$room/planted_${room}_$name.c
		done
		line src/$room/planted_${room}_day.c 9 include-circle \
			"#include \"$room/planted_${room}_night.h\""
		line src/$room/planted_${room}_night.c 9 include-circle \
			"#include \"$room/planted_${room}_day.h\""
		c $room ok "#include \"$room/planted_${room}_day.h\""
	done
}

plant_rooms()
{
	c engine spi-room '	SPI_connect();'
	c engine spi-room '#include "executor/spi.h"'
	c store ok '	SPI_connect();'
	c engine ok '	/* SPI_connect() is for src/store */ say("SPI_connect");'
	c session sql-room '	run("SELECT 1");'
	c session ok '	errhint("Call SELECT dataflows.retry() then.");'
	c store ok '	run("SELECT 1");'
	c worker curl-room '	curl_multi_perform(multi, &n);'
	c worker curl-room '#include <curl/curl.h>'
	c worker curl-room '	CURL *handle;'
	c http ok '	curl_multi_perform(multi, &n);'
	c http mhd-room '	MHD_stop_daemon(daemon);'
	c ingress ok '	MHD_stop_daemon(daemon);'
	c engine json-room '	it = JsonbIteratorInit(&value->root);'
	c worker json-room '	escape_json(&text, name);'
	c store json-room '	pushJsonbValue(&state, WJB_ELEM, &value);'
	c engine ok '	df_json_walk(&walk, value);'
	c shared ok '	/* as JsonbToCString() prints it */'
	c engine version-room '#if PG_VERSION_NUM >= 160000'
	c store role-room '	SetUserIdAndSecContext(role, flags);'
	c store ok '	GetUserIdAndSecContext(&role, &flags);'
	c worker transaction-room '	StartTransactionCommand();'
	c store transaction-room '	AbortCurrentTransaction();'
	c worker transaction-room '	BeginInternalSubTransaction(NULL);'
	c engine ok '	BeginInternalSubTransaction(NULL);'
}

plant_clock()
{
	c engine clock-room '	at = GetCurrentTimestamp();'
	c session clock-room '	at = GetCurrentTransactionStartTimestamp();'
	c worker clock-room '	gettimeofday(&now, NULL);'
	c worker clock-room '	clock_gettime(CLOCK_MONOTONIC, &now);'
	c http clock-room '	clock_gettime(CLOCK_REALTIME, &now);'
	c http ok '	clock_gettime(CLOCK_MONOTONIC, &now);'
	c http clock-room '	t = time(NULL);'
	c flow ok '	t = next_time(NULL) + row->time(1);'
}

plant_states()
{
	c engine transition-room '	run->state = DF_RUN_STUCK;'
	c engine transition-room '	step.undo_state = DF_UNDO_DUE;'
	c session transition-room '	step->state = to;'
	c worker transition-room '	run->state = DF_RUN_STUCK;'
	c shared transition-room '	step->undo_state = to;'
	c worker ok '	slot->state = DF_PROC_RUNNING;'
	c engine ok '	if (run->state == DF_RUN_STUCK)'
	c engine ok '	item->state = step->state;'
	c engine ok '	items[i].undo_state = step->undo_state;'
	c store ok '	run->state = (DfRunState) df_run_state_of(name);'
	c store ok '	shown->state = df_copy_text(cxt, 0, 2);'
	c store ok '	step->undo_state = name == NULL ? DF_UNDO_NONE : df_undo_state_of(name);'
	c session sql-state-room '	say("UPDATE dataflows.run SET wake_at = NULL");'
	expect "src/session/planted_$((planted - 1)).c" 9 sql-room
	c session sql-state-room '	say(" SET n = 1, state = $2");'
	c store store-names '	run("SELECT 1 OPERATOR(pg_catalog.+) 1");'
	c store store-names '	run("SELECT pg_catalog.now()");'
	c store store-names '	run("SELECT FROM run AS r");'
	c store store-names '		" JOIN workflow AS w ON true");'
	c store ok '	run("SELECT now() FROM dataflows.run AS r, u FOR UPDATE OF r");'
	c store ok '	/* "FROM run" and pg_catalog.now() are only spoken of */'
	sql sql-state-room 'UPDATE dataflows.step SET n = n;'
	sql ok '-- UPDATE dataflows.step SET n = n;'
	sql ok "SELECT run FROM dataflows.run WHERE state = 'stuck';"
}

plant_style()
{
	c http http-quiet '	ereport(ERROR, (errmsg("no")));'
	c http http-quiet '	elog(LOG, "no");'
	c http http-quiet '	copy = pstrdup(text);'
	c http http-quiet '	copy = palloc0(8);'
	c fdw ok '	copy = pstrdup(text);'
	function_of 100 ok
	function_of 101 function-length
	essay src/flow/planted_extern.h >src/flow/planted_extern.h
	line src/flow/planted_extern.h 9 dead-extern 'extern int df_planted_alone(void);'
	line src/flow/planted_extern.h 10 ok 'extern int df_planted_called(void);'
	line src/flow/planted_extern.h 11 ok 'extern PGDLLEXPORT int df_planted_looked_up(void);'
	c flow ok 'int df_planted_alone(void) { return df_planted_called(); }'
	c worker ok 'int df_planted_called(void) { return 1; }'
	c flow banned-function '	strcpy(a, b);'
	c flow banned-function '	n = atoi(a);'
	c flow ok '	strlcpy(a, b, n); snprintf(a, n, "strcpy(a, b)"); pg_strtoint32(a);'
	c flow machine-path "	/* see /ho""me/somebody/notes */"
	c flow machine-path '	open("/tmp/x");'
	c flow ok '	/* GET /users/1, https://example.com/home/ */'
	c flow machine-path "	/* see /Us""ers/somebody/notes */"
	c flow ok "	/* DELETE /Users/{id}, /Users/%s of SCIM */"
	printf 'See /ro%s/notes.\n' ot >planted.md
	expect planted.md 1 machine-path
}

plant_essays()
{
	printf '#include "postgres.h"\n' >src/flow/planted_bare.c
	expect src/flow/planted_bare.c 1 essay
	{ essay src/flow/other.c; } >src/flow/planted_other.c
	expect src/flow/planted_other.c 1 essay
	printf '/*\n * flow/planted_terse.c\n *	  Planted.\n */\n' >src/flow/planted_terse.c
	expect src/flow/planted_terse.c 1 essay
}

plant_sql()
{
	sql sql-comment 'CREATE FUNCTION dataflows.planted() RETURNS void LANGUAGE sql AS $$ $$;'
	sql sql-comment 'CREATE VIEW dataflows.planted AS SELECT 1;'
	sql sql-comment 'CREATE TABLE dataflows.planted_t (n int);'
	sql sql-comment 'CREATE FOREIGN DATA WRAPPER planted;'
	printf "CREATE VIEW dataflows.planted_3 AS SELECT 1;\nCOMMENT ON VIEW dataflows.planted_3 IS
		'OR REPLACE';\n" \
		>src/sql/99_planted_ok.sql
	# two functions of one name need two comments
	printf "%s\n" 'CREATE FUNCTION dataflows.twice(int) RETURNS void LANGUAGE sql AS $$ $$;' \
		"COMMENT ON FUNCTION dataflows.twice(int) IS 'x';" \
		'CREATE FUNCTION dataflows.twice(text) RETURNS void LANGUAGE sql AS $$ $$;' \
			>src/sql/99_planted_twice.sql
	expect src/sql/99_planted_twice.sql 3 sql-comment
	sql sql-replace 'ALTER TABLE dataflows.run ADD COLUMN IF NOT EXISTS n int;'
	sql sql-replace 'DO $$ BEGIN EXECUTE $x$ CREATE OR REPLACE VIEW v AS SELECT 1 $x$; END $$;'
	sql ok 'DO $$ BEGIN IF NOT EXISTS (SELECT) THEN NULL; END IF; END $$;'
	sql sql-qualified ' CREATE TABLE planted (n int);'
	sql ok ' CREATE TABLE dataflows.planted (n int);'
}

plant_diagram()
{
	mkdir -p docs/reference
	printf '%s\n' '# States' '<!-- state-machine:begin -->' '<!-- state-machine:end -->' \
		>docs/reference/states.md
	expect docs/reference/states.md 1 state-diagram
}

# ---- form.sh -------------------------------------------------------------------------

# line <file> <line> <rule> <text>
line()
{
	printf '%s\n' "$4" >>"$1"
	expect "$1" "$2" "$3"
}

# wide <characters> <rule> <tail>: a line of its own in a new file
wide()
{
	local file=test/planted_$planted.$4

	line "$file" 1 "$2" "$3$(printf '%*s' "$1" '' | tr ' ' x)"
}

plant_form()
{
	local file=src/flow/planted_form.c

	essay "$file" >"$file"
	line "$file" 9 ok 'int planted;'
	if clang-format --version | grep -q 'version 14\.'; then
		line "$file" 10 clang-format 'int  planted_badly;'
	else
		skipped=clang-format
		echo "selftest.sh: clang-format: skipped, it is not version 14" >&2
	fi
	wide 100 ok '' sh
	wide 101 line-width '' sh
	wide 96 ok $'\t' pl
	wide 97 line-width $'\t' pl
	wide 97 line-width $'  \t' py
	wide 99 ok 'é' sql
	wide 200 ok '' md
	for file in src/flow/planted_twice.c src/http/planted_twice.c; do
		essay "$file" >"$file"
	done
	expect src/http/planted_twice.c 1 same-name
}

# ---- names.sh ------------------------------------------------------------------------

plant_names()
{
	local page=docs/planted.md file=src/flow/planted_names.c

	line "$page" 1 name-of-file 'The file `worker/no_such.c` is not there.'
	line "$page" 2 name-of-file 'Nor is `test/t/doubt/no_such.pl`.'
	line "$page" 3 ok \
		'There are `worker/turn.c`, `turn.c` and `src/worker/turn.c`; no_such.c is prose.'
	line "$page" 4 name-of-symbol 'It calls `df_no''_such`.'
	line "$page" 5 ok 'It calls `df_run_next` with a `DfRunState`, and `df_run_*` are all of them.'
	line "$page" 6 name-in-file 'Shown by `worker/turn.c` (`no_such_function`).'
	line "$page" 7 ok 'Shown by `flow/run_state.c` (`df_run_next`).'
	essay "$file" >"$file"
	line "$file" 9 name-of-file '/* see worker/no_such.c */'
	line "$file" 10 name-of-symbol '/* a DfNo''Such */'
	line "$file" 11 name-of-function '/* as no_such_function() does */'
	line "$file" 12 ok '/* as df_run_next() and pg_terminate_backend() do, see turn.c */'
	line "$file" 13 ok 'int df_planted; /* df_planted is there */'
}

# ---- all ---------------------------------------------------------------------------

prove form.sh plant_form
prove names.sh plant_names
# without the page, so that a diagram of today's tree does not matter
rm -f docs/ARCHITECTURE.md
prove rooms.sh plant_includes plant_circle plant_rooms plant_clock plant_states plant_style \
	plant_essays plant_sql plant_diagram

# a page without diagrams is reported as that, not because they could not be made
if ! grep -q 'state-diagram: the diagrams differ' <<<"$("$here/rooms.sh" "$copy/tree")"; then
	echo "selftest.sh: state-diagram fires for another reason"
	exit 1
fi

# the diagrams can be written, and are then as they should be
"$here/state_diagram.sh" --write "$copy/tree"
"$here/state_diagram.sh" --check "$copy/tree"
if ! grep -q 'queued --> running: enter' docs/reference/states.md; then
	echo "selftest.sh: the diagrams were not written"
	exit 1
fi
echo "selftest.sh: $planted planted lines, $rules rules, all as expected"
