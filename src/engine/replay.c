/*
 * engine/replay.c
 *	  The memory of a body: which recorded step a call means.
 *
 * Runs in a worker while a body is being executed, on structs in memory.  The k-th
 * call with one name in an entry is the step "name#k"; each entry counts from 1 again.
 * Never use SQL or the clock here.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "engine/replay.h"
#include "types/run.h"
#include "utils/memutils.h"

typedef struct DfName
{
	char *base; /* key */
	int entry_no; /* the entry that `calls` counts */
	int calls;
	int first; /* index of its recorded steps with the lowest and the highest k */
	int last;
	int next; /* index of the first one that is not before the next call, -1 = none */
	uint32 hash;
	char status;
} DfName;

#define SH_PREFIX df_name
#define SH_ELEMENT_TYPE DfName
#define SH_KEY_TYPE char *
#define SH_KEY base
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp((a), (b)) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* steps by their whole names, name#n: a body may name a thousand of them */
typedef struct DfWhole
{
	char *name; /* key */
	int index;
	uint32 hash;
	char status;
} DfWhole;

#define SH_PREFIX df_whole
#define SH_ELEMENT_TYPE DfWhole
#define SH_KEY_TYPE char *
#define SH_KEY name
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp((a), (b)) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* on_failure has step names of its own, so that they cannot meet those of the body */
#define HANDLER_PREFIX "on_failure/"

const char *
df_run_step_name(const DfRun *run, const char *name)
{
	return run->row.state == DF_RUN_ROLLING_BACK ? psprintf(HANDLER_PREFIX "%s", name) : name;
}

bool
df_is_handler_step(const DfStep *step)
{
	return strncmp(step->name, HANDLER_PREFIX, strlen(HANDLER_PREFIX)) == 0;
}

const char *
df_step_called_name(const DfStep *step)
{
	return df_is_handler_step(step) ? step->name + strlen(HANDLER_PREFIX) : step->name;
}

/* the part before '#k', and k */
static char *
base_of(MemoryContext cxt, const char *name, int *ordinal)
{
	char *base = MemoryContextStrdup(cxt, name);
	char *mark = strrchr(base, '#');

	*ordinal = 1;
	if (mark != NULL && mark[1] != '\0' && strspn(mark + 1, "0123456789") == strlen(mark + 1))
	{
		*ordinal = strtol(mark + 1, NULL, 10);
		*mark = '\0';
	}
	return base;
}

static DfName *
name_entry(DfRun *run, const char *base)
{
	DfName *entry;
	bool found;

	if (run->engine.names == NULL)
		run->engine.names = df_name_create(run->cxt, 8, NULL);
	entry = df_name_lookup(run->engine.names, (char *) base);
	if (entry == NULL)
	{
		entry = df_name_insert(run->engine.names, MemoryContextStrdup(run->cxt, base), &found);
		entry->entry_no = 0;
		entry->calls = 0;
		entry->first = entry->last = entry->next = -1;
	}
	return entry;
}

/* puts it among those of its name by its k; a step that was renamed may come before others */
static void
insert_in_order(DfRun *run, DfName *entry, DfStep *step)
{
	int before = entry->last;

	if (before >= 0 && run->steps[before]->engine.ordinal > step->engine.ordinal)
	{
		before = -1;
		for (int i = entry->first; run->steps[i]->engine.ordinal < step->engine.ordinal;
			 i = run->steps[i]->engine.next_same)
			before = i;
	}
	if (before < 0)
	{
		step->engine.next_same = entry->first;
		entry->first = step->engine.index;
	}
	else
	{
		step->engine.next_same = run->steps[before]->engine.next_same;
		run->steps[before]->engine.next_same = step->engine.index;
	}
	if (step->engine.next_same < 0)
		entry->last = step->engine.index;
}

/* makes a step that was loaded or just created known by its name */
void
df_replay_index(DfRun *run, DfStep *step)
{
	char *base = base_of(run->cxt, step->name, &step->engine.ordinal);

	insert_in_order(run, name_entry(run, base), step);
	pfree(base);
}

/* gives a recorded step another whole name; all of them are made known anew */
void
df_replay_rename(DfRun *run, DfStep *step, const char *name)
{
	step->name = MemoryContextStrdup(run->cxt, name);
	step->row.renamed++;
	run->engine.names = NULL;
	run->engine.whole_names = NULL;
	for (int i = run->engine.nearlier; i < run->nsteps; i++)
		df_replay_index(run, run->steps[i]);
}

DfStep *
df_replay_named(DfRun *run, const char *name)
{
	DfWhole *entry;
	bool found;

	if (run->engine.whole_names == NULL)
	{
		run->engine.whole_names = df_whole_create(run->cxt, Max(16, run->nsteps), NULL);
		run->engine.nwhole = run->engine.nearlier;
	}
	for (; run->engine.nwhole < run->nsteps; run->engine.nwhole++)
	{
		entry = df_whole_insert(run->engine.whole_names, run->steps[run->engine.nwhole]->name,
								&found);
		entry->index = run->engine.nwhole;
	}
	entry = df_whole_lookup(run->engine.whole_names, (char *) name);
	return entry != NULL ? run->steps[entry->index] : NULL;
}

void
df_replay_begin(DfRun *run)
{
	run->engine.entry_no++;
	run->engine.calls = 0;
	run->engine.last_called = NULL;
}

/*
 * The recorded step that this call of `base` means, or NULL if it is new; *name
 * is then the name that it gets.
 */
DfStep *
df_replay_find(DfRun *run, const char *base, char **name)
{
	DfName *entry = name_entry(run, base);
	DfStep *step;

	if (entry->entry_no != run->engine.entry_no)
	{
		entry->entry_no = run->engine.entry_no;
		entry->calls = 0;
		entry->next = entry->first;
	}
	entry->calls++;
	if (entry->next < 0 || run->steps[entry->next]->engine.ordinal > entry->calls)
	{
		*name = MemoryContextStrdup(run->cxt, df_replay_whole_name(base, entry->calls));
		return NULL;
	}
	step = run->steps[entry->next];
	entry->next = step->engine.next_same;
	*name = step->name;
	run->engine.last_called = step;
	if (step->engine.called != run->engine.entry_no)
	{
		step->engine.called = run->engine.entry_no;
		run->engine.calls++;
	}
	return step;
}

/* the recorded steps of the name's base, by their k */
DfStep *
df_replay_first(DfRun *run, const char *name)
{
	int ordinal;
	char *base = base_of(CurrentMemoryContext, name, &ordinal);
	int first = name_entry(run, base)->first;

	return first < 0 ? NULL : run->steps[first];
}

DfStep *
df_replay_next_same(const DfRun *run, const DfStep *step)
{
	return step->engine.next_same < 0 ? NULL : run->steps[step->engine.next_same];
}

int
df_replay_calls(DfRun *run, const char *base)
{
	const DfName *entry = name_entry(run, base);

	return entry->entry_no == run->engine.entry_no ? entry->calls : 0;
}

char *
df_replay_whole_name(const char *base, int call)
{
	return call <= 1 ? pstrdup(base) : psprintf("%s#%d", base, call);
}

/* whether this entry has not called (yet) some recorded step of the present body */
bool
df_replay_has_uncalled(const DfRun *run)
{
	bool handler = run->row.state == DF_RUN_ROLLING_BACK;

	if (!handler && run->engine.calls == run->nsteps - run->engine.nearlier)
		return false; /* usually, and without a search through all steps */
	for (int i = run->engine.nearlier; i < run->nsteps; i++)
		if (df_replay_is_uncalled(run, run->steps[i]))
			return true;
	return false;
}

/* the step is one of the present body that this entry has not called (yet) */
bool
df_replay_is_uncalled(const DfRun *run, const DfStep *step)
{
	return df_is_handler_step(step) == (run->row.state == DF_RUN_ROLLING_BACK) &&
		step->engine.called != run->engine.entry_no;
}
