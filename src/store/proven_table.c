/*
 * store/proven_table.c
 *	  Statements on dataflows.proven_step, and what this process knows of it.
 *
 * Runs in workers, in their transaction, as the extension's owner.  A step has a row for
 * each version of its workflow and each text of its body, so there are few, and each worker
 * writes one at most once: an ordinary run costs nothing.  A row is written with the turn
 * that records the step, never in a transaction of its own.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "shared/clock.h"
#include "store/proven_table.h"
#include "store/store.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* of one workflow: names that are made up for each run must not fill the table */
#define MOST_STEPS 1000
/* that this process remembers: each deploy brings others, and the table has them all */
#define MOST_KNOWN 20000

typedef struct Workflow
{
	uint64 name; /* hashes: names may be of persons */
	int64 version;
	int64 body;
} Workflow;

typedef struct Proof
{
	Workflow workflow;
	uint64 step;
} Proof;

typedef struct Count
{
	Workflow workflow; /* key */
	int steps;
} Count;

/* what is in the table for certain */
static HTAB *proofs = NULL;
static HTAB *counts = NULL;

static HTAB *
make_table(const char *name, Size key, Size entry)
{
	HASHCTL control;

	memset(&control, 0, sizeof(control));
	control.keysize = key;
	control.entrysize = entry;
	control.hcxt = TopMemoryContext;
	return hash_create(name, 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static uint64
hash_of(const char *text, size_t len)
{
	return hash_bytes_extended((const unsigned char *) text, (int) len, 0);
}

static Proof
proof_of(const DfRun *run, uint64 what)
{
	Proof proof;

	memset(&proof, 0, sizeof(proof));
	proof.workflow.name = hash_of(run->workflow_name, strlen(run->workflow_name));
	proof.workflow.version = run->workflow->version;
	proof.workflow.body = run->row.body_hash;
	proof.step = what;
	return proof;
}

/* a body that has changed under the run is neither the one before nor a new one from its start */
static bool
counts_for(const DfRun *run)
{
	return run->workflow != NULL && run->row.body_hash != 0 && !run->row.drifted;
}

/* of those that are forgotten each costs one statement more, when it is met again */
static void
forget_all(void)
{
	hash_destroy(proofs);
	hash_destroy(counts);
	proofs = counts = NULL;
}

static void
know(const Proof *proof)
{
	Count *count;
	bool found;

	/* it is not committed */
	if (df_clock_is_simulated())
		return;
	if (proofs != NULL && counts != NULL && hash_get_num_entries(proofs) >= MOST_KNOWN)
		forget_all();
	/* each by itself: there may have been memory for the first one only */
	if (proofs == NULL)
		proofs = make_table("dataflows proven steps", sizeof(Proof), sizeof(Proof));
	if (counts == NULL)
		counts = make_table("dataflows proven workflows", sizeof(Workflow), sizeof(Count));
	(void) hash_search(proofs, proof, HASH_ENTER, &found);
	if (found)
		return;
	count = hash_search(counts, &proof->workflow, HASH_ENTER, &found);
	count->steps = found ? count->steps + 1 : 1;
}

static bool
is_known(const Proof *proof)
{
	return proofs != NULL && hash_search(proofs, proof, HASH_FIND, NULL) != NULL;
}

bool
df_proven_is_known(const DfRun *run, uint64 what)
{
	Proof proof;
	Count *count;

	if (!counts_for(run))
		return true;
	proof = proof_of(run, what);
	if (is_known(&proof))
		return true;
	count = counts != NULL ? hash_search(counts, &proof.workflow, HASH_FIND, NULL) : NULL;
	return count != NULL && count->steps >= MOST_STEPS;
}

bool
df_proven_find(const DfRun *run, uint64 what)
{
	static DfPlan plan = {
		"SELECT FROM dataflows.proven_step AS p"
		" WHERE p.workflow = $1 AND p.version = $2 AND p.body_hash = $3 AND p.step_hash = $4",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, INT4OID, INT8OID, INT8OID)};
	Proof proof;
	Datum values[4];

	if (!counts_for(run))
		return false;
	proof = proof_of(run, what);
	if (is_known(&proof))
		return true;
	values[0] = CStringGetTextDatum(run->workflow_name);
	values[1] = Int32GetDatum(run->workflow->version);
	values[2] = Int64GetDatum(run->row.body_hash);
	values[3] = Int64GetDatum((int64) proof.step);
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	know(&proof);
	return true;
}

/* two workers may prove the same at once: in one order, so that none waits for the other */
static void
insert(List *names, Datum *versions, Datum *bodies, Datum *steps)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.proven_step (workflow, version, body_hash, step_hash)"
		" SELECT DISTINCT u.workflow, u.version, u.body_hash, u.step_hash"
		" FROM unnest($1, $2, $3, $4) AS u (workflow, version, body_hash, step_hash)"
		" WHERE (SELECT count(*) FROM dataflows.proven_step AS p"
		"  WHERE p.workflow = u.workflow AND p.version = u.version"
		"  AND p.body_hash = u.body_hash) < $5"
		" ORDER BY 1, 2, 3, 4"
		" ON CONFLICT DO NOTHING",
		SPI_OK_INSERT,
		DF_PARAMS(TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT4OID)};
	int n = list_length(names);
	Datum values[5] = {df_text_array(names), df_array(INT4OID, versions, NULL, n),
					   df_array(INT8OID, bodies, NULL, n), df_array(INT8OID, steps, NULL, n),
					   Int32GetDatum(MOST_STEPS)};

	(void) df_plan_run(&plan, values, NULL, 0);
}

/* what is marked, for the arrays of one statement */
typedef struct Marks
{
	int n;
	List *names;
	Datum *versions;
	Datum *bodies;
	Datum *steps;
} Marks;

static void
add_mark(Marks *marks, const DfRun *run, uint64 what)
{
	if (what == 0)
		return;
	if (marks->versions != NULL)
	{
		marks->names = lappend(marks->names, run->workflow_name);
		marks->versions[marks->n] = Int32GetDatum(run->workflow->version);
		marks->bodies[marks->n] = Int64GetDatum(run->row.body_hash);
		marks->steps[marks->n] = Int64GetDatum((int64) what);
	}
	marks->n++;
}

/* counts them, or collects them if there are arrays */
static void
find_marks(List *runs, Marks *marks)
{
	ListCell *lc;

	foreach (lc, runs)
	{
		const DfRun *run = lfirst(lc);

		for (int i = 0; run->engine.proves && i < run->nsteps; i++)
		{
			add_mark(marks, run, run->steps[i]->engine.proves);
			add_mark(marks, run, run->steps[i]->engine.proves_undo);
			add_mark(marks, run, run->steps[i]->engine.proves_probe);
		}
	}
}

void
df_proven_record(List *runs)
{
	Marks marks;

	memset(&marks, 0, sizeof(marks));
	find_marks(runs, &marks);
	if (marks.n == 0)
		return;
	marks.versions = palloc(sizeof(Datum) * marks.n);
	marks.bodies = palloc(sizeof(Datum) * marks.n);
	marks.steps = palloc(sizeof(Datum) * marks.n);
	marks.n = 0;
	find_marks(runs, &marks);
	insert(marks.names, marks.versions, marks.bodies, marks.steps);
}

static void
saved(const DfRun *run, uint64 *what)
{
	Proof proof = proof_of(run, *what);

	if (*what != 0)
		know(&proof);
	*what = 0;
}

void
df_proven_saved(const DfRun *run, DfStep *step)
{
	saved(run, &step->engine.proves);
	saved(run, &step->engine.proves_undo);
	saved(run, &step->engine.proves_probe);
}
