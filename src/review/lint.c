/*
 * review/lint.c
 *	  What the source of a workflow's function says of how it will fare.
 *
 * Runs in a user's backend, in its transaction and role; reads the source and nothing else,
 * and runs none of it.  It knows tokens and no grammar: what it cannot be sure of it leaves to
 * explain(), which goes along the path of a run.  Must never raise an error because of what a
 * function says.
 */
#include "postgres.h"

#include "commands/proclang.h"
#include "miscadmin.h"
#include "review/lint.h"
#include "review/tokens.h"
#include "shared/fingerprint.h"
#include "shared/function.h"
#include "simulate/story.h"

#define CLOCK_REMEDY \
	"Take it from dataflows.once('name', 'SELECT now()'), which keeps it, or wait with " \
	"sleep_until() or wait_for()."
#define RANDOM_REMEDY \
	"Take it from dataflows.once('name', 'SELECT ...'), which keeps it."
#define WRITE_REMEDY \
	"Write in dataflows.query('name', 'statement'), which is carried out once and recorded."
#define LOOP_REMEDY \
	"Put the item into the name, such as 'name:' || id; or make sure by ORDER BY that the items " \
	"come in one order, and new ones last."
#define UNDO_REMEDY \
	"Give it undo, or call dataflows.on_rollback() before it with of_step; if what it makes may " \
	"stay, say undo => 'none'."

static const char *const rule_names[] = {
	[DF_LINT_CLOCK] = "clock",
	[DF_LINT_RANDOM] = "random",
	[DF_LINT_WRITE] = "write",
	[DF_LINT_LOOP_NAME] = "loop_name",
	[DF_LINT_NO_UNDO] = "no_undo",
};

const char *
df_lint_rule_name(DfLintRule rule)
{
	return rule_names[rule];
}

/* functions of PostgreSQL and of its extensions */
static const char *const clocks[] = {"now", "clock_timestamp", "statement_timestamp",
									 "transaction_timestamp", "timeofday", NULL};
/* the same without parentheses */
static const char *const clock_words[] = {"current_timestamp", "current_time", "current_date",
										  "localtimestamp", "localtime", NULL};
static const char *const randoms[] = {
	"random", "random_normal", "gen_random_uuid", "gen_random_bytes", "uuid_generate_v1",
	"uuid_generate_v1mc", "uuid_generate_v4", "uuidv4", "uuidv7", "txid_current",
	"pg_current_xact_id", "pg_backend_pid", NULL};
/* in Python and Perl */
static const char *const other_clocks[] = {"utcnow", "today", "time_ns", "localtime", "gmtime",
										   NULL};
static const char *const other_randoms[] = {"rand", "randint", "randrange", "choice", "urandom",
											"uuid1", "uuid4", "token_hex", NULL};
/* their times are kept when they begin to wait */
static const char *const waits[] = {"sleep", "sleep_until", "wait_for", "wait_any", NULL};

/* functions of ours that are steps with an effect, and which argument is their undo; 0 = none */
static const struct
{
	const char *name;
	int undo;
	bool makes; /* what may have to be taken back: POST, and SQL */
} steps[] = {
	{"post", 7, true},
	{"http", 8, false},
	{"get", 7, false},
	{"put", 7, false},
	{"patch", 7, false},
	{"delete", 7, false},
	{"query", 4, true},
	{"send_mail", 0, false},
	{"call", 0, false},
	{"once", 0, false},
	{"sleep", 0, false},
	{"sleep_until", 0, false},
};

typedef struct Linter
{
	DfTokens tokens;
	bool sql; /* the source is SQL or PL/pgSQL */
	int items; /* open loops over items */
	List *loops; /* of int: for each open loop, whether it goes over items */
	int wait_ends; /* tokens before this one are arguments of a wait */
	bool pivot;
	bool rollback; /* on_rollback() is called somewhere */
	List *lints;
	List *calls;
} Linter;

static bool
is_one_of(const char *const *words, const char *word)
{
	for (; *words != NULL; words++)
		if (strcmp(*words, word) == 0)
			return true;
	return false;
}

static void
report(Linter *linter, DfLintRule rule, int line, char *step, char *finding, const char *remedy)
{
	DfLint *lint = palloc(sizeof(DfLint));

	*lint = (DfLint){rule, line, step, finding, remedy};
	linter->lints = lappend(linter->lints, lint);
}

/* ---- clocks and random numbers ---------------------------------------------- */

static void
look_for_values(Linter *linter, int at)
{
	const DfToken *token = &linter->tokens.all[at];
	const char *word = token->text;
	bool called = df_token_is_mark(&linter->tokens, at + 1, '(');
	bool clock;
	bool random;

	clock = called && is_one_of(clocks, word);
	random = called && is_one_of(randoms, word);
	if (linter->sql)
		clock = clock || is_one_of(clock_words, word);
	else if (called)
	{
		clock = clock || is_one_of(other_clocks, word) || strcmp(word, "time") == 0;
		random = random || is_one_of(other_randoms, word);
	}
	if (clock && at >= linter->wait_ends)
		report(linter, DF_LINT_CLOCK, token->line, NULL,
			   psprintf("%s gives another time at each entry of the body", word), CLOCK_REMEDY);
	if (random)
		report(linter, DF_LINT_RANDOM, token->line, NULL,
			   psprintf("%s gives another value at each entry of the body", word), RANDOM_REMEDY);
}

/* ---- writes ------------------------------------------------------------------ */

/* whether a statement may begin with this token */
static bool
begins_statement(const DfTokens *tokens, int at)
{
	static const char *const before[] = {"begin", "then", "else", "loop", "as", "atomic", NULL};

	return at == 0 || df_token_is_mark(tokens, at - 1, ';') ||
		df_token_is_mark(tokens, at - 1, '(') ||
		(tokens->all[at - 1].kind == DF_TOKEN_WORD && is_one_of(before, tokens->all[at - 1].text));
}

static const char *
write_at(const DfTokens *tokens, int at)
{
	static const char *const ddl[] = {"truncate", "create", "alter", "drop", "grant", "revoke",
									  "refresh", NULL};
	const char *word = tokens->all[at].text;

	if (df_token_is_mark(tokens, at + 1, '(') &&
		(strcmp(word, "nextval") == 0 || strcmp(word, "setval") == 0))
		return word;
	if (strcmp(word, "for") == 0 &&
		(df_token_is_word(tokens, at + 1, "update") || df_token_is_word(tokens, at + 1, "share")))
		return df_token_is_word(tokens, at + 1, "update") ? "for update" : "for share";
	if (!begins_statement(tokens, at))
		return NULL;
	if ((strcmp(word, "insert") == 0 || strcmp(word, "merge") == 0) &&
		df_token_is_word(tokens, at + 1, "into"))
		return word;
	if (strcmp(word, "delete") == 0 && df_token_is_word(tokens, at + 1, "from"))
		return word;
	if (strcmp(word, "update") == 0 || is_one_of(ddl, word))
		return word;
	return NULL;
}

/* EXECUTE 'statement', or EXECUTE format('statement', ...) */
static const char *
write_executed_at(const DfTokens *tokens, int at)
{
	DfTokens statement;
	int text = at + 1;

	if (!df_token_is_word(tokens, at, "execute"))
		return NULL;
	if (df_token_is_word(tokens, text, "format") && df_token_is_mark(tokens, text + 1, '('))
		text += 2;
	if (text >= tokens->n || tokens->all[text].kind != DF_TOKEN_STRING)
		return NULL;
	df_tokens_read(tokens->all[text].text, &statement);
	return statement.n > 0 && statement.all[0].kind == DF_TOKEN_WORD ? write_at(&statement, 0)
																	 : NULL;
}

static void
look_for_write(Linter *linter, int at)
{
	const char *word = write_at(&linter->tokens, at);

	if (word == NULL)
		word = write_executed_at(&linter->tokens, at);

	if (word != NULL)
		report(linter, DF_LINT_WRITE, linter->tokens.all[at].line, NULL,
			   psprintf("a body is read-only: %s raises an error", word), WRITE_REMEDY);
}

/* ---- loops ------------------------------------------------------------------- */

/* FOR ... LOOP: whether it goes over rows, and not over numbers (1 .. n) */
static bool
goes_over_rows(const DfTokens *tokens, int at)
{
	for (; at < tokens->n && !df_token_is_word(tokens, at, "loop"); at++)
		if (df_token_is_mark(tokens, at, '.') && df_token_is_mark(tokens, at + 1, '.'))
			return false;
	return true;
}

/* the loop that begins with the word LOOP there: what stands before it, in this statement */
static bool
goes_over_items(const DfTokens *tokens, int loop)
{
	for (int at = loop - 1; at >= 0; at--)
	{
		if (df_token_is_mark(tokens, at, ';') || df_token_is_word(tokens, at, "loop") ||
			df_token_is_word(tokens, at, "while") || df_token_is_word(tokens, at, "then"))
			return false;
		if (df_token_is_word(tokens, at, "foreach"))
			return true;
		if (df_token_is_word(tokens, at, "for"))
			return goes_over_rows(tokens, at);
	}
	return false;
}

static void
follow_loops(Linter *linter, int at)
{
	if (!df_token_is_word(&linter->tokens, at, "loop"))
		return;
	if (!df_token_is_word(&linter->tokens, at - 1, "end"))
	{
		bool items = goes_over_items(&linter->tokens, at);

		linter->loops = lappend_int(linter->loops, items);
		linter->items += items;
	}
	else if (linter->loops != NIL)
	{
		linter->items -= llast_int(linter->loops);
		linter->loops = list_delete_last(linter->loops);
	}
}

/* ---- steps ------------------------------------------------------------------- */

/* name => or name := at this place */
static bool
is_named(const DfTokens *tokens, int at, const char *name)
{
	return df_token_is_word(tokens, at, name) &&
		((df_token_is_mark(tokens, at + 1, '=') && df_token_is_mark(tokens, at + 2, '>')) ||
		 (df_token_is_mark(tokens, at + 1, ':') && df_token_is_mark(tokens, at + 2, '=')));
}

/* an argument that is a string and nothing else; NULL = it is more, or something else */
static char *
literal(const DfTokens *tokens, int at)
{
	if (at < tokens->n && tokens->all[at].kind == DF_TOKEN_STRING &&
		(df_token_is_mark(tokens, at + 1, ',') || df_token_is_mark(tokens, at + 1, ')')))
		return tokens->all[at].text;
	return NULL;
}

/* 'name', or 'name:' || id */
static void
read_name(const DfTokens *tokens, int at, DfLintCall *call)
{
	call->step = literal(tokens, at);
	if (call->step == NULL && at < tokens->n && tokens->all[at].kind == DF_TOKEN_STRING &&
		df_token_is_mark(tokens, at + 1, '|') && df_token_is_mark(tokens, at + 2, '|'))
		call->step_begins = tokens->all[at].text;
}

/* the arguments of the call, one by one */
static void
read_arguments(const DfTokens *tokens, int open, int close, int undo, DfLintCall *call)
{
	int depth = 0;
	int argument = 1;

	for (int at = open + 1; at < close; at++)
	{
		bool begins = depth == 0 && (at == open + 1 || df_token_is_mark(tokens, at - 1, ','));

		argument += begins && at > open + 1;
		if (begins && (argument == 1 || is_named(tokens, at, "step")))
			read_name(tokens, is_named(tokens, at, "step") ? at + 3 : at, call);
		else if (begins && is_named(tokens, at, "system"))
			call->system = literal(tokens, at + 3);
		else if (begins && argument == 2)
			call->system = literal(tokens, at);
		if (begins && is_named(tokens, at, "doubt"))
			call->doubt = literal(tokens, at + 3);
		call->has_undo |= begins && (argument == undo || is_named(tokens, at, "undo"));
		call->has_probe |= begins && is_named(tokens, at, "probe");
		if (df_token_is_mark(tokens, at, '(') || df_token_is_mark(tokens, at, '['))
			depth++;
		else if (df_token_is_mark(tokens, at, ')') || df_token_is_mark(tokens, at, ']'))
			depth--;
	}
}

static void
judge_call(Linter *linter, const DfLintCall *call, bool makes)
{
	if (call->in_item_loop && call->step != NULL)
		report(linter, DF_LINT_LOOP_NAME, call->line, call->step,
			   psprintf("step \"%s\" is called in a loop, and its name does not say for which item",
						call->step),
			   LOOP_REMEDY);
	/* of query() the second argument is the statement */
	if (strcmp(call->function, "query") == 0 && call->system != NULL)
		makes = !df_sim_sql_is_question(call->system);
	if (makes && !call->has_undo && !linter->rollback && !call->behind_pivot)
		report(linter, DF_LINT_NO_UNDO, call->line, call->step,
			   psprintf("a rollback leaves what %s makes",
						call->step != NULL ? psprintf("step \"%s\"", call->step)
										   : psprintf("this %s()", call->function)),
			   UNDO_REMEDY);
}

/* dataflows.name(, or name( where the schema is in the search_path */
static void
look_for_step(Linter *linter, int at)
{
	const DfTokens *tokens = &linter->tokens;
	const char *word = tokens->all[at].text;
	int close = df_token_closing(tokens, at + 1);
	DfLintCall *call;

	if (!df_token_is_mark(tokens, at + 1, '(') ||
		(df_token_is_mark(tokens, at - 1, '.') && !df_token_is_word(tokens, at - 2, "dataflows")))
		return;
	if (is_one_of(waits, word))
		linter->wait_ends = close;
	linter->pivot |= strcmp(word, "point_of_no_return") == 0;
	for (int i = 0; i < lengthof(steps); i++)
	{
		if (strcmp(steps[i].name, word) != 0)
			continue;
		call = palloc0(sizeof(DfLintCall));
		call->function = steps[i].name;
		call->line = tokens->all[at].line;
		call->in_item_loop = linter->items > 0;
		call->behind_pivot = linter->pivot;
		read_arguments(tokens, at + 1, close, steps[i].undo, call);
		linter->calls = lappend(linter->calls, call);
		judge_call(linter, call, steps[i].makes);
	}
}

/* ---- the way in -------------------------------------------------------------- */

static bool
calls_on_rollback(const DfTokens *tokens)
{
	for (int at = 0; at < tokens->n; at++)
		if (df_token_is_word(tokens, at, "on_rollback"))
			return true;
	return false;
}

void
df_lint(Oid function, List **lints, List **calls)
{
	Linter linter;
	Oid language = df_function_language(function);

	memset(&linter, 0, sizeof(linter));
	df_tokens_read(df_function_source(function), &linter.tokens);
	linter.sql = language == get_language_oid("plpgsql", true) ||
		language == get_language_oid("sql", true);
	linter.rollback = calls_on_rollback(&linter.tokens);
	for (int at = 0; at < linter.tokens.n; at++)
	{
		CHECK_FOR_INTERRUPTS();
		if (linter.tokens.all[at].kind != DF_TOKEN_WORD)
			continue;
		if (linter.sql)
		{
			follow_loops(&linter, at);
			look_for_step(&linter, at);
			look_for_write(&linter, at);
		}
		look_for_values(&linter, at);
	}
	*lints = linter.lints;
	*calls = linter.calls;
}
