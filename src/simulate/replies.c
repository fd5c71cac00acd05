/*
 * simulate/replies.c
 *	  What the author of a test says that systems and people answer, read from jsonb.
 *
 * Runs in a user's backend, in the caller's transaction and role.  Reads its argument and
 * nothing else; what is wrong with it is said before anything is simulated.
 */
#include "postgres.h"

#include "compat.h"
#include "fmgr.h"
#include "shared/json.h"
#include "simulate/replies.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#define HINT \
	"A reply is an object of \"status\", \"headers\", \"body\", \"is\", \"after\" and " \
	"\"payload\", a body, \"timeout\", \"lost\", \"down\" or \"never\", or an array of these, " \
	"one for each attempt."

static const char *const fields[] = {"status", "headers", "body", "is", "after", "payload"};

static const struct
{
	const char *word;
	DfReplyKind kind;
} words[] = {{"timeout", DF_REPLY_TIMEOUT},
			 {"never", DF_REPLY_TIMEOUT},
			 {"lost", DF_REPLY_LOST},
			 {"down", DF_REPLY_DOWN}};

/* clang-format off */
static const struct
{
	const char *word;
	DfMeaning meaning;
	int status; /* usual of such a response */
} meanings[] = {
	{"done", DF_MEANS_DONE, 200},
	{"kept", DF_MEANS_KEPT, 409},
	{"retry", DF_MEANS_RETRY, 503},
	{"doubt", DF_MEANS_DOUBT, 500},
	{"fail", DF_MEANS_FAIL, 422},
	{"stuck", DF_MEANS_STUCK, 403},
};
/* clang-format on */

pg_noreturn static void
refuse(const char *key, char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the reply of \"%s\" %s", key, what),
			 errhint(HINT)));
}

static bool
is_field(const char *name)
{
	for (int i = 0; i < lengthof(fields); i++)
		if (strcmp(fields[i], name) == 0)
			return true;
	return false;
}

static bool
is_status(const JsonbValue *value)
{
	char *text = value->type == jbvNumeric ? df_json_scalar_of(value) : NULL;

	return text != NULL && strlen(text) == 3 && strspn(text, "0123456789") == 3 &&
		text[0] >= '1' && text[0] <= '5';
}

/* not a body: it has nothing but the fields of a reply, and a status that is one */
static bool
is_reply(const char *key, const Jsonb *value)
{
	JsonbValue status;
	bool has_status = df_json_find(value, "status", &status);
	char *unknown = NULL;
	DfJsonWalk walk;

	if (JB_ROOT_COUNT(value) == 0)
		return false;
	df_json_walk(&walk, value);
	while (df_json_next(&walk))
		if (!is_field(walk.key))
			unknown = walk.key;
	if (unknown == NULL)
		return !has_status || is_status(&status);
	if (has_status && is_status(&status))
		refuse(key, psprintf("has the unknown field \"%s\" beside a status", unknown));
	return false;
}

static void
read_meaning(const char *key, const char *word, DfReply *reply)
{
	for (int i = 0; i < lengthof(meanings); i++)
		if (strcmp(meanings[i].word, word) == 0)
		{
			reply->has_meaning = true;
			reply->answer.is = meanings[i].meaning;
			if (reply->status == 0)
				reply->status = meanings[i].status;
			return;
		}
	refuse(key,
		   psprintf("means \"%s\"; what it can mean is done, kept, retry, doubt, fail or stuck",
					word));
}

static void
read_headers(const char *key, const Jsonb *headers)
{
	DfJsonWalk walk;

	if (!JB_ROOT_IS_OBJECT(headers))
		refuse(key, "has headers that are no object");
	df_json_walk(&walk, headers);
	while (df_json_next(&walk))
		if (walk.value.type != jbvString && walk.value.type != jbvNumeric &&
			walk.value.type != jbvBinary)
			refuse(key, psprintf("has a header \"%s\" that is no string", walk.key));
}

static void
name_the_key(void *arg)
{
	errcontext("\"after\" of the reply of \"%s\"", (const char *) arg);
}

static void
read_after(const char *key, const Jsonb *value, DfReply *reply)
{
	char *text = df_json_get_text(value, "after");
	ErrorContextCallback callback = {error_context_stack, name_the_key, unconstify(char *, key)};
	Interval *after;

	if (text == NULL)
		refuse(key, "has an \"after\" that is no string such as \"2 days\"");
	error_context_stack = &callback;
	after = DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(text),
												  ObjectIdGetDatum(InvalidOid),
												  Int32GetDatum(-1)));
	error_context_stack = callback.previous;
	if (after->month < 0 || after->day < 0 || after->time < 0)
		refuse(key, "comes before it was asked for");
	reply->after = *after;
}

static void
read_object(const char *key, const Jsonb *value, DfReply *reply)
{
	JsonbValue field;

	if (df_json_find(value, "status", &field))
		reply->status = (int) df_json_get_int(value, "status", 0);
	reply->headers = df_json_get(value, "headers");
	reply->body = df_json_get_or_null(value, "body");
	reply->payload = df_json_get_or_null(value, "payload");
	if (reply->payload == NULL)
		reply->payload = df_json_empty(); /* as signal() has it */
	if (df_json_find(value, "is", &field))
	{
		if (field.type != jbvString)
			refuse(key, "has an \"is\" that is no word");
		read_meaning(key, df_json_get_text(value, "is"), reply);
	}
	if (reply->headers != NULL)
		read_headers(key, reply->headers);
	if (df_json_find(value, "after", &field))
		read_after(key, value, reply);
}

static DfReply *
read_reply(const char *key, const Jsonb *value)
{
	DfReply *reply = palloc0(sizeof(DfReply));
	char *word = JB_ROOT_IS_SCALAR(value) ? df_json_scalar_text(value) : NULL;

	reply->kind = DF_REPLY_ANSWER;
	for (int i = 0; word != NULL && i < lengthof(words); i++)
		if (strcmp(words[i].word, word) == 0)
		{
			reply->kind = words[i].kind;
			return reply;
		}
	if (JB_ROOT_IS_OBJECT(value) && !JB_ROOT_IS_SCALAR(value) && is_reply(key, value))
		read_object(key, value, reply);
	else
		reply->body = reply->payload = value;
	return reply;
}

static DfReplyList *
read_list(const char *key, const Jsonb *value)
{
	DfReplyList *list = palloc0(sizeof(DfReplyList));
	DfJsonWalk walk;

	list->key = key;
	if (!JB_ROOT_IS_ARRAY(value) || JB_ROOT_IS_SCALAR(value))
	{
		list->replies = list_make1(read_reply(key, value));
		return list;
	}
	df_json_walk(&walk, value);
	while (df_json_next(&walk))
		list->replies = lappend(list->replies, read_reply(key, df_json_of(&walk.value)));
	if (list->replies == NIL)
		refuse(key, "is an empty array");
	return list;
}

List *
df_replies_read(const Jsonb *replies)
{
	List *lists = NIL;
	DfJsonWalk walk;

	if (replies == NULL)
		return NIL;
	if (!JB_ROOT_IS_OBJECT(replies))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the replies are no object"),
				 errhint("Give an object such as '{\"create-customer\": {\"status\": 503}}'.")));
	df_json_walk(&walk, replies);
	while (df_json_next(&walk))
		lists = lappend(lists, read_list(walk.key, df_json_of(&walk.value)));
	return lists;
}

DfReplyList *
df_replies_of(List *replies, const char *key)
{
	ListCell *lc;

	foreach (lc, replies)
	{
		DfReplyList *list = lfirst(lc);

		if (strcmp(list->key, key) != 0)
			continue;
		list->used = true;
		return list;
	}
	return NULL;
}

static DfReplyList *
find_by_name(List *replies, const char *path, const char *name, const char *suffix)
{
	const char *mark = strrchr(name, '#');
	DfReplyList *list = df_replies_of(replies, psprintf("%s%s%s", path, name, suffix));

	if (list == NULL && mark != NULL)
	{
		char *base = pnstrdup(name, mark - name);

		list = df_replies_of(replies, psprintf("%s%s%s", path, base, suffix));
	}
	return list;
}

DfReplyList *
df_replies_of_step(List *replies, const char *path, const char *name, const char *suffix)
{
	DfReplyList *list = find_by_name(replies, path, name, suffix);

	return list != NULL || path[0] == '\0' ? list : find_by_name(replies, "", name, suffix);
}

const DfReply *
df_reply_of(DfReplyList *list, int attempt)
{
	return list_nth(list->replies, Min(attempt, list_length(list->replies) - 1));
}

char *
df_replies_unused(List *replies)
{
	StringInfoData text;
	ListCell *lc;

	initStringInfo(&text);
	foreach (lc, replies)
	{
		DfReplyList *list = lfirst(lc);

		if (!list->used)
			appendStringInfo(&text, "%s\"%s\"", text.len == 0 ? "" : ", ", list->key);
	}
	return text.len == 0 ? NULL : text.data;
}
