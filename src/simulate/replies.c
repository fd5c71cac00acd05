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
	"A reply is an object of \"status\", \"headers\", \"body\", \"is\" and \"after\", of an " \
	"event one of \"after\" and \"payload\"; a body, or a payload; \"timeout\", \"lost\", " \
	"\"down\" or \"never\"; or an array of these, one for each attempt. A body that is text, or " \
	"has a field of such a name, is {\"body\": ...}; a payload is {\"payload\": ...}."

static const char *const of_step[] = {"status", "headers", "body", "is", "after", NULL};
static const char *const of_event[] = {"after", "payload", NULL};

static const struct
{
	const char *word;
	DfReplyKind kind;
} words[] = {{"timeout", DF_REPLY_TIMEOUT},
			 {"never", DF_REPLY_TIMEOUT},
			 {"lost", DF_REPLY_LOST},
			 {"down", DF_REPLY_DOWN}};

/* clang-format off */
static const struct Meaning
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
is_event(const char *key)
{
	return strncmp(key, "event:", strlen("event:")) == 0 || strstr(key, " > event:") != NULL;
}

static bool
is_field(const char *key, const char *name)
{
	for (const char *const *field = is_event(key) ? of_event : of_step; *field != NULL; field++)
		if (strcmp(*field, name) == 0)
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

static const struct Meaning *
find_meaning(const char *word)
{
	for (int i = 0; word != NULL && i < lengthof(meanings); i++)
		if (strcmp(meanings[i].word, word) == 0)
			return &meanings[i];
	return NULL;
}

/* what a body or a payload hardly has by chance; the field is mistyped that stands beside it */
static const char *
mark_of_reply(const char *key, const Jsonb *value)
{
	JsonbValue status;

	if (is_event(key))
		return df_json_find(value, "after", &status) ? "\"after\"" : NULL;
	if (df_json_find(value, "status", &status) && is_status(&status))
		return "a status";
	return find_meaning(df_json_get_text(value, "is")) != NULL ? "\"is\"" : NULL;
}

/* not a body: it has nothing but the fields of a reply, and a status that is one */
static bool
is_reply(const char *key, const Jsonb *value)
{
	const char *mark = mark_of_reply(key, value);
	char *unknown = NULL;
	JsonbValue status;
	DfJsonWalk walk;

	if (JB_ROOT_COUNT(value) == 0)
		return false;
	df_json_walk(&walk, value);
	while (df_json_next(&walk))
		if (!is_field(key, walk.key))
			unknown = walk.key;
	if (unknown == NULL)
	{
		if (!df_json_find(value, "status", &status) || is_status(&status))
			return true;
		/* "active" may be a field of a body; a number is a mistyped status */
		if (status.type == jbvNumeric)
			refuse(key,
				   psprintf("has the status %s, and none from 100 to 599",
							df_json_scalar_of(&status)));
		return false;
	}
	if (mark != NULL)
		refuse(key, psprintf("has the unknown field \"%s\" beside %s", unknown, mark));
	return false;
}

static void
read_meaning(const char *key, const char *word, DfReply *reply)
{
	const struct Meaning *meaning = find_meaning(word);

	if (meaning == NULL)
		refuse(key,
			   psprintf("means \"%s\"; what it can mean is done, kept, retry, doubt, fail or stuck",
						word));
	reply->has_meaning = true;
	reply->answer.is = meaning->meaning;
	if (reply->status == 0)
		reply->status = meaning->status;
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

/* an interval that cannot be read has no hint of its own */
static void
name_the_key(void *arg)
{
	errcontext("\"after\" of the reply of \"%s\"", (const char *) arg);
	errhint("Give an interval such as \"2 days\", \"90 s\" or \"1 day 02:00\".");
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

/* NULL if it is no text */
static char *
word_of(const Jsonb *value)
{
	DfJsonWalk walk;

	if (!JB_ROOT_IS_SCALAR(value))
		return NULL;
	df_json_walk(&walk, value);
	return df_json_next(&walk) ? df_json_string_of(&walk.value) : NULL;
}

static DfReply *
read_reply(const char *key, const Jsonb *value)
{
	DfReply *reply = palloc0(sizeof(DfReply));
	char *word = word_of(value);

	reply->kind = DF_REPLY_ANSWER;
	for (int i = 0; word != NULL && i < lengthof(words); i++)
		if (strcmp(words[i].word, word) == 0)
		{
			reply->kind = words[i].kind;
			return reply;
		}
	/* if it were taken for a body, a mistyped word would mean that all is well */
	if (word != NULL && !is_event(key))
		refuse(key,
			   psprintf("is \"%s\", and none of \"timeout\", \"lost\", \"down\" and \"never\"",
						word));
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
