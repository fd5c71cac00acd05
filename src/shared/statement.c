/*
 * shared/statement.c
 *	  Tells whether a row trigger fires for a new row or for one that was moved
 *	  between partitions.
 *
 * Runs in every backend that has loaded the library, around the end of each statement
 * that changes rows, where its AFTER triggers fire.  PostgreSQL moves a row to another
 * partition by a DELETE and an INSERT, of which a row trigger sees only the INSERT.  If
 * no part of the statement inserts into that table or an ancestor, the row was moved:
 * by an UPDATE, or by a foreign key ON UPDATE CASCADE.  Never read rows here, and never
 * check rights.
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "tcop/utility.h"

#include "compat.h"
#include "shared/statement.h"

/* lives on the stack of finish() */
typedef struct Statement
{
	const PlannedStmt *plan;
	Oid partition; /* the last one that was asked for, */
	bool moved; /* and the answer for it */
} Statement;

static ExecutorFinish_hook_type previous_finish = NULL;
static ProcessUtility_hook_type previous_utility = NULL;

/* the innermost statement; NULL = none, or one without a plan */
static Statement *firing = NULL;

static void
call_finish(QueryDesc *query)
{
	if (previous_finish != NULL)
		previous_finish(query);
	else
		standard_ExecutorFinish(query);
}

static void
finish(QueryDesc *query)
{
	Statement statement = {query->plannedstmt};
	Statement *outer = firing;

	/* fires no triggers */
	if (query->operation == CMD_SELECT && !query->plannedstmt->hasModifyingCTE)
	{
		call_finish(query);
		return;
	}
	PG_TRY();
	{
		firing = &statement;
		call_finish(query);
	}
	PG_FINALLY();
	{
		firing = outer;
	}
	PG_END_TRY();
}

/* COPY fires its own triggers, SET CONSTRAINTS those of any earlier statement */
static void
utility(PlannedStmt *planned, const char *query, bool read_only_tree,
		ProcessUtilityContext context, ParamListInfo params,
		QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	Statement *outer = firing;

	PG_TRY();
	{
		firing = NULL;
		(previous_utility ? previous_utility : standard_ProcessUtility)(
			planned, query, read_only_tree, context, params, environment, receiver, completion);
	}
	PG_FINALLY();
	{
		firing = outer;
	}
	PG_END_TRY();
}

void
df_statement_install(void)
{
	previous_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = finish;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
}

/* the table that this part of the statement inserts into, InvalidOid = none */
static Oid
inserts_into(const PlannedStmt *plan, const Plan *part)
{
	const ModifyTable *modify = (const ModifyTable *) part;
	Index target;

	if (part == NULL || !IsA(part, ModifyTable))
		return InvalidOid;
	if (modify->operation != CMD_INSERT && !df_compat_merge_inserts(modify))
		return InvalidOid;
	target = modify->rootRelation != 0 ? modify->rootRelation
									   : linitial_int(modify->resultRelations);
	return rt_fetch(target, plan->rtable)->relid;
}

static bool
inserts_above(const PlannedStmt *plan, Oid partition)
{
	List *above = lcons_oid(partition, get_partition_ancestors(partition));
	ListCell *lc;

	if (list_member_oid(above, inserts_into(plan, plan->planTree)))
		return true;
	/* WITH ... AS (INSERT ...) */
	foreach (lc, plan->subplans)
		if (list_member_oid(above, inserts_into(plan, lfirst(lc))))
			return true;
	return false;
}

bool
df_statement_moved_row(Relation partition)
{
	if (firing == NULL || !partition->rd_rel->relispartition)
		return false;
	if (firing->partition != RelationGetRelid(partition))
	{
		firing->moved = !inserts_above(firing->plan, RelationGetRelid(partition));
		firing->partition = RelationGetRelid(partition);
	}
	return firing->moved;
}
