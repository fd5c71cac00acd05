/*
 * shared/read_answers.c
 *	  Reads what responses are to mean, as users write it.
 *
 * Runs in sessions, which give the option of a server, in bodies, which give the argument of
 * a step, and in workers, which read both back.  Allocates memory, nothing else.  Describes
 * what is wrong and leaves it to the caller to raise it, so that all callers say the same.
 */
#include "postgres.h"

#include <ctype.h>

#include "nodes/pg_list.h"
#include "shared/read_answers.h"
#include "shared/json.h"
#include "shared/jsonpath.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/numeric.h"
#include "utils/varlena.h"

#define MEANINGS "done, kept, retry, doubt, fail, stuck or credentials"

static const char *const meanings[] = {
	[DF_MEANS_DONE] = "done",
	[DF_MEANS_KEPT] = "kept",
	[DF_MEANS_RETRY] = "retry",
	[DF_MEANS_DOUBT] = "doubt",
	[DF_MEANS_FAIL] = "fail",
	[DF_MEANS_STUCK] = "stuck",
	[DF_MEANS_CREDENTIALS] = "credentials",
	[DF_MEANS_UNUSABLE] = "unusable", /* nobody can ask for it */
};

StaticAssertDecl(lengthof(meanings) == DF_NMEANINGS, "every meaning has a name");

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};

/* a rule while it is read */
typedef struct Draft
{
	const char *what;
	DfAnswersProblem *problem;
	List *methods; /* of const char * */
	List *statuses; /* of DfStatusRange * */
	const char *condition;
	int is; /* -1 = not given yet */
} Draft;

const char *
df_meaning_name(DfMeaning meaning)
{
	return (uint32) meaning < lengthof(meanings) ? meanings[meaning] : "unknown";
}

int
df_meaning_of(const char *name)
{
	for (int i = 0; i < lengthof(meanings); i++)
		if (strcmp(meanings[i], name) == 0)
			return i;
	return -1;
}

static bool
wrong(Draft *draft, char *message, char *hint)
{
	draft->problem->message = message;
	draft->problem->hint = hint;
	return false;
}

static void
begin(Draft *draft, const char *what, DfAnswersProblem *problem)
{
	memset(draft, 0, sizeof(*draft));
	draft->what = what;
	draft->problem = problem;
	draft->is = -1;
}

/* ---- the parts of a rule --------------------------------------------------- */

static char *
meaning_hint(const char *given)
{
	int len = strlen(given);

	for (int i = 0; i < DF_MEANS_UNUSABLE && len > 2 && len <= 64; i++)
		if (varstr_levenshtein_less_equal(given, len, meanings[i], strlen(meanings[i]), 1, 1, 1, 2,
										  true) <= 2)
			return psprintf("Perhaps you meant \"%s\".", meanings[i]);
	return pstrdup("Use " MEANINGS ".");
}

static bool
read_meaning(Draft *draft, const char *given)
{
	draft->is = df_meaning_of(given);
	if (draft->is >= 0 && draft->is != DF_MEANS_UNUSABLE)
		return true;
	return wrong(draft, psprintf("\"%s\" has an unknown meaning \"%s\"", draft->what, given),
				 meaning_hint(given));
}

static bool
read_method(Draft *draft, const char *given)
{
	for (int i = 0; i < lengthof(methods); i++)
	{
		if (pg_strcasecmp(given, methods[i]) != 0)
			continue;
		draft->methods = lappend(draft->methods, unconstify(char *, methods[i]));
		return true;
	}
	return wrong(draft, psprintf("\"%s\" has an unknown method \"%s\"", draft->what, given),
				 pstrdup("Use GET, HEAD, POST, PUT, PATCH or DELETE."));
}

static bool
add_range(Draft *draft, int first, int last)
{
	DfStatusRange *range;

	if (first < 100 || last > 599 || first > last)
		return false;
	range = palloc(sizeof(DfStatusRange));
	range->first = first;
	range->last = last;
	draft->statuses = lappend(draft->statuses, range);
	return true;
}

/* three digits; -1 = something else */
static int
number_at(const char *text)
{
	for (int i = 0; i < 3; i++)
		if (!isdigit((unsigned char) text[i]))
			return -1;
	return (text[0] - '0') * 100 + (text[1] - '0') * 10 + text[2] - '0';
}

/* 409, 5xx or 500-504 */
static bool
read_status(Draft *draft, const char *given)
{
	int len = strlen(given);
	bool good = false;

	if (len == 3 && isdigit((unsigned char) given[0]) && pg_strcasecmp(given + 1, "xx") == 0)
		good = add_range(draft, (given[0] - '0') * 100, (given[0] - '0') * 100 + 99);
	else if (len == 3)
		good = add_range(draft, number_at(given), number_at(given));
	else if (len == 7 && given[3] == '-')
		good = add_range(draft, number_at(given), number_at(given + 4));
	if (good)
		return true;
	return wrong(draft,
				 psprintf("\"%s\" has \"%s\" where a status must be", draft->what, given),
				 pstrdup("Give a status from 100 to 599 such as 409, a class such as 5xx, or a "
						 "range such as 500-504."));
}

static bool
read_condition(Draft *draft, char *given)
{
	char *problem = df_jsonpath_problem(given, DF_RESPONSE_VARIABLES);

	draft->condition = given;
	if (problem == NULL)
		return true;
	return wrong(draft,
				 psprintf("\"if\" of \"%s\" is not a jsonpath: %s", draft->what, problem),
				 pstrdup("Give a predicate such as \"$.ok != true\"; $ is the body, $status and "
						 "$headers are variables."));
}

/* ---- as text --------------------------------------------------------------- */

/* words before "=": methods and statuses */
static bool
read_words(Draft *draft, char *words)
{
	char *rest;

	for (char *word = strtok_r(words, " \t\r\n", &rest); word != NULL;
		 word = strtok_r(NULL, " \t\r\n", &rest))
	{
		if (isalpha((unsigned char) word[0]) ? !read_method(draft, word)
											 : !read_status(draft, word))
			return false;
	}
	return true;
}

static char *
trimmed(char *text)
{
	char *end;

	text += strspn(text, " \t\r\n");
	end = text + strlen(text);
	while (end > text && strchr(" \t\r\n", end[-1]) != NULL)
		*--end = '\0';
	return text;
}

/* what stands between two commas; *ended = it has a meaning */
static bool
read_part(Draft *draft, char *part, bool *ended)
{
	char *sign = strchr(part, '=');

	*ended = sign != NULL;
	if (sign != NULL)
		*sign = '\0';
	if (*trimmed(part) == '\0')
		return wrong(draft, psprintf("\"%s\" has an empty entry", draft->what),
					 pstrdup("Give statuses and what they mean, such as '409=kept, 5xx=doubt'."));
	return read_words(draft, trimmed(part)) && (!*ended || read_meaning(draft, trimmed(sign + 1)));
}

/* ---- as JSON --------------------------------------------------------------- */

/* a string or a number as it is written in text, or NULL */
static char *
word_of(const JsonbValue *value)
{
	if (value->type == jbvString)
		return df_json_string_of(value);
	if (value->type == jbvNumeric)
		return numeric_normalize(value->val.numeric);
	return NULL;
}

static bool
not_a_word(Draft *draft, const char *key)
{
	return wrong(draft, psprintf("\"%s\" of \"%s\" cannot be used", key, draft->what),
				 psprintf("Give one %s or an array of them, or leave it out: it is any then.",
						  key));
}

static bool
read_word_or_list(Draft *draft, const char *key, const JsonbValue *value,
				  bool (*read)(Draft *draft, const char *word))
{
	char *word = word_of(value);
	DfJsonWalk walk;

	if (word != NULL)
		return read(draft, word);
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data) ||
		JsonContainerSize(value->val.binary.data) == 0)
		return not_a_word(draft, key);
	df_json_walk(&walk, df_json_of(value));
	while (df_json_next(&walk))
	{
		word = word_of(&walk.value);
		if (word == NULL)
			return not_a_word(draft, key);
		if (!read(draft, word))
			return false;
	}
	return true;
}

static bool
read_key(Draft *draft, const char *key, const JsonbValue *value)
{
	bool is_text = value->type == jbvString;

	if (strcmp(key, "status") == 0)
		return read_word_or_list(draft, key, value, read_status);
	if (strcmp(key, "method") == 0)
		return read_word_or_list(draft, key, value, read_method);
	if (strcmp(key, "is") == 0 && is_text)
		return read_meaning(draft, df_json_string_of(value));
	if (strcmp(key, "if") == 0 && is_text)
		return read_condition(draft, df_json_string_of(value));
	return wrong(draft, psprintf("key \"%s\" of \"%s\" cannot be used", key, draft->what),
				 pstrdup("Use \"method\", \"status\", \"if\" and \"is\"; the last two are "
						 "strings."));
}

static bool
read_object(Draft *draft, const Jsonb *object)
{
	DfJsonWalk walk;

	df_json_walk(&walk, object);
	while (df_json_next(&walk))
		if (!read_key(draft, walk.key, &walk.value))
			return false;
	if (draft->is >= 0)
		return true;
	return wrong(draft, psprintf("a rule of \"%s\" has no \"is\"", draft->what),
				 pstrdup("Say what the response means: \"is\" is " MEANINGS "."));
}

/* ---- the list -------------------------------------------------------------- */

static DfAnswer *
rule_of(const Draft *draft)
{
	DfAnswer *rule = palloc0(sizeof(DfAnswer));
	DfStatusRange *ranges = palloc(sizeof(DfStatusRange) * (list_length(draft->statuses) + 1));
	ListCell *lc;

	if (draft->methods != NIL)
	{
		int n = 0;

		rule->methods = palloc0(sizeof(char *) * (list_length(draft->methods) + 1));
		foreach (lc, draft->methods)
			rule->methods[n++] = lfirst(lc);
	}
	foreach (lc, draft->statuses)
		ranges[rule->nstatuses++] = *(DfStatusRange *) lfirst(lc);
	rule->statuses = ranges;
	rule->condition = draft->condition;
	rule->is = (DfMeaning) draft->is;
	return rule;
}

static const DfAnswers *
answers_of(List *rules, const char *what, DfAnswersProblem *problem)
{
	DfAnswers *answers;
	DfAnswer *array;
	ListCell *lc;

	if (rules == NIL)
	{
		problem->message = psprintf("\"%s\" is empty", what);
		problem->hint = pstrdup("Leave it out, or give rules such as '409=kept, 5xx=doubt'.");
		return NULL;
	}
	answers = palloc(sizeof(DfAnswers));
	answers->rules = array = palloc(sizeof(DfAnswer) * list_length(rules));
	answers->n = 0;
	foreach (lc, rules)
		array[answers->n++] = *(DfAnswer *) lfirst(lc);
	return answers;
}

static const DfAnswers *
from_shorthand(const char *text, const char *what, DfAnswersProblem *problem)
{
	List *rules = NIL;
	Draft draft;
	bool ended = true;
	char *part = trimmed(pstrdup(text));

	begin(&draft, what, problem);
	while (part != NULL && (rules != NIL || *part != '\0'))
	{
		char *comma = strchr(part, ',');

		if (comma != NULL)
			*comma = '\0';
		if (!read_part(&draft, part, &ended))
			return NULL;
		if (ended)
		{
			rules = lappend(rules, rule_of(&draft));
			begin(&draft, what, problem);
		}
		part = comma == NULL ? NULL : comma + 1;
	}
	if (!ended)
	{
		wrong(&draft, psprintf("\"%s\" does not say what its last entry means", what),
			  pstrdup("Give statuses and what they mean, such as '409=kept, 5xx=doubt'."));
		return NULL;
	}
	return answers_of(rules, what, problem);
}

const DfAnswers *
df_answers_from_json(const Jsonb *json, const char *what, DfAnswersProblem *problem)
{
	List *rules = NIL;
	Draft draft;
	DfJsonWalk walk;

	memset(problem, 0, sizeof(*problem));
	begin(&draft, what, problem);
	if (JB_ROOT_IS_OBJECT(json))
		return read_object(&draft, json) ? answers_of(list_make1(rule_of(&draft)), what, problem)
										 : NULL;
	if (JB_ROOT_IS_SCALAR(json))
	{
		char *text = df_json_scalar_text(json);

		if (text != NULL)
			return from_shorthand(text, what, problem);
	}
	df_json_walk(&walk, json);
	while (!JB_ROOT_IS_SCALAR(json) && df_json_next(&walk))
	{
		Jsonb *rule = df_json_of(&walk.value);

		begin(&draft, what, problem);
		if (!JB_ROOT_IS_OBJECT(rule))
		{
			wrong(&draft, psprintf("\"%s\" has a rule that is not a JSON object", what),
				  pstrdup("Give rules such as {\"status\": 409, \"is\": \"kept\"}."));
			return NULL;
		}
		if (!read_object(&draft, rule))
			return NULL;
		rules = lappend(rules, rule_of(&draft));
	}
	return answers_of(rules, what, problem);
}

const DfAnswers *
df_answers_from_text(const char *text, const char *what, DfAnswersProblem *problem)
{
	const char *begins = text + strspn(text, " \t\r\n");
	Jsonb *json;

	memset(problem, 0, sizeof(*problem));
	if (*begins != '[' && *begins != '{')
		return from_shorthand(text, what, problem);
	json = df_json_parse(text, strlen(text), CurrentMemoryContext);
	if (json != NULL)
		return df_answers_from_json(json, what, problem);
	problem->message = psprintf("\"%s\" is not valid JSON", what);
	problem->hint = pstrdup("Give rules such as [{\"status\": 409, \"is\": \"kept\"}].");
	return NULL;
}

void
df_answers_check(const Jsonb *json, const char *what)
{
	DfAnswersProblem problem;

	if (df_answers_from_json(json, what, &problem) != NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", problem.message), errhint("%s", problem.hint)));
}
