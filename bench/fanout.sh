#!/bin/bash
#
# Fan-out: one run that begins many steps, or calls many runs, and waits for all
# of them.  It shows that one of them costs the same, however many
# there are.
#
# Everything lives in a temporary directory and is gone afterwards.  To change
# what is done, set in the environment: SIZES ("250 500 1000 2000"), ROUNDS (3,
# the median is told).

set -euo pipefail
cd "$(dirname "$0")/.."
. test/lib.sh
. bench/lib.sh
export PG_CONFIG=${PG_CONFIG:-pg_config}
SIZES=${SIZES:-250 500 1000 2000} ROUNDS=${ROUNDS:-3}

ask() { psql -X -q -A -t -U app -c "$1"; }

start_all()
{
	start_systems
	start_server "max_worker_processes = 16
shared_buffers = 256MB
checkpoint_timeout = 30min"
	create_bench
}

create_objects()
{
	psql -X -q -v ON_ERROR_STOP=1 -o /dev/null <<-SQL
	CREATE EXTENSION dataflows;
	GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;
	GRANT CREATE ON SCHEMA public TO app;
	CREATE SERVER crm FOREIGN DATA WRAPPER dataflows
	  OPTIONS (url 'http://127.0.0.1:${ports[0]}/api', allow_private 'true', max_concurrency '64');
	GRANT USAGE ON FOREIGN SERVER crm TO app;
	SET ROLE app;
	CREATE FUNCTION small(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$ BEGIN RETURN e; END \$\$;
	CREATE FUNCTION posts(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
	BEGIN
	  RETURN dataflows.post('post', 'crm', '/contacts', jsonb_build_object('n', e),
	    undo => 'DELETE /contacts/{id}');
	END \$\$;
	CREATE FUNCTION fan(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
	DECLARE
	  names text[];
	BEGIN
	  FOR i IN 1 .. (e->>'n')::int LOOP
	    IF e->>'of' = 'steps' THEN
	      PERFORM dataflows.post('part:' || i, 'crm', '/contacts', jsonb_build_object('n', i),
	        undo => 'DELETE /contacts/{id}', wait => false);
	    ELSE
	      PERFORM dataflows.call('part:' || i, e->>'of', to_jsonb(i), wait => false,
	        key => CASE WHEN e ? 'key' THEN (e->>'key') || i END);
	    END IF;
	    names := names || ('part:' || i);
	  END LOOP;
	  PERFORM dataflows.wait_all(VARIADIC names);
	  IF e ? 'fails' THEN RAISE EXCEPTION 'all is to be undone'; END IF;
	  RETURN NULL;
	END \$\$;
	SELECT dataflows.define_workflow('small', 'small');
	SELECT dataflows.define_workflow('posts', 'posts');
	SELECT dataflows.define_workflow('fan', 'fan');
	SQL
}

# fan_out <input>: microseconds from start to end per unit.  Looked at again and
# again, since the snapshot of a session in await() would keep dead rows alive.
fan_out()
{
	local run state=

	run=$(ask "SELECT dataflows.start('fan', '$1')")
	while [ "$state" != completed ] && [ "$state" != rolled_back ]; do
		sleep 0.2
		state=$(ask "SELECT state FROM dataflows.runs WHERE run = '$run'")
		[ "$state" != stuck ] || fail "run $run is stuck"
	done
	ask "SELECT round(1e6 * extract(epoch FROM finished_at - started_at) / (input->>'n')::int)
		FROM dataflows.runs WHERE run = '$run'"
}

median() { printf '%s\n' "$@" | sort -g | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

# measure <what> <input without n>
measure()
{
	local n i row=
	local -a took

	for n in $SIZES; do
		took=()
		for ((i = 0; i < ROUNDS; i++)); do
			took+=("$(fan_out "{\"n\": $n, \"key\": \"$1/$n/$i/\", $2}")")
		done
		row="$row$(printf '%12s' "$(median "${took[@]}")")"
	done
	printf '  %-44s%s\n' "$1" "$row"
}

run_inside()
{
	local n

	work=$DF_WORK
	PATH="$("$PG_CONFIG" --bindir):$PATH"
	export LC_ALL=C.UTF-8
	trap stop_all EXIT
	start_all
	create_objects
	fan_out '{"n": 100, "of": "posts"}' >/dev/null
	say "Microseconds per step or child, median of $ROUNDS; load average" \
		"$(cut -d ' ' -f 1-3 /proc/loadavg)"
	printf '  %-44s' 'in one run'
	for n in $SIZES; do printf '%12s' "$n"; done
	echo
	measure 'POSTs with wait => false' '"of": "steps"'
	measure 'children, by key, that return at once' '"of": "small"'
	measure 'children, by key, of one POST each' '"of": "posts"'
	measure 'POSTs, and each of them undone' '"of": "steps", "fails": true'
	measure 'children of one POST each, and all undone' '"of": "posts", "fails": true'
}

if [ -n "${DF_WORK:-}" ]; then
	run_inside
else
	test/setup.sh bench
	export SIZES ROUNDS
	run_aside bench/fanout.sh
fi
