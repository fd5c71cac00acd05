/*
 * shared/retry_options.c
 *	  Reads retry options as users write them.
 *
 * Runs in sessions, where such options are given and checked, and in workers, where
 * they override the system's.  Allocates memory, nothing else.  Raises errors about the
 * options and no others.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "shared/json.h"
#include "shared/retry_options.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

typedef enum RetryKey
{
	KEY_MAX_ATTEMPTS,
	KEY_INITIAL,
	KEY_MAX,
	KEY_FOR
} RetryKey;

static const char *const retry_keys[] = {"max_attempts", "initial", "max", "for"};

#define LONGEST_MS (INT64CONST(10) * 366 * 24 * 3600 * 1000)
#define RETRY_HINT \
	"Give an object such as '{\"max_attempts\": 5, \"initial\": \"1 s\", \"max\": \"5 min\", " \
	"\"for\": \"24 h\"}'."

static char *
nearest_key(const char *given, int len)
{
	int best = -1;
	int best_distance = 4;

	for (int i = 0; i < lengthof(retry_keys) && len <= 64; i++)
	{
		int distance = varstr_levenshtein_less_equal(given, len, retry_keys[i],
													 strlen(retry_keys[i]), 1, 1, 1,
													 best_distance, true);

		if (distance < best_distance)
		{
			best = i;
			best_distance = distance;
		}
	}
	return best < 0 ? pstrdup(RETRY_HINT)
					: psprintf("Perhaps you meant \"%s\".", retry_keys[best]);
}

static RetryKey
key_of(const char *given, const char *what)
{
	for (int i = 0; i < lengthof(retry_keys); i++)
		if (strcmp(retry_keys[i], given) == 0)
			return (RetryKey) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" has an unknown key \"%s\"", what, given),
			 errhint("%s", nearest_key(given, strlen(given)))));
	return KEY_FOR;
}

/*
 * -1 = it is not an interval.  interval_in() takes no lock and no snapshot, so its error
 * can be caught without a subtransaction.
 */
static int64
interval_text_ms(const char *text)
{
	MemoryContext old = CurrentMemoryContext;
	volatile int64 ms = -1;

	PG_TRY();
	{
		Interval *span = DatumGetIntervalP(
			DirectFunctionCall3(interval_in, CStringGetDatum(text),
								ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));

		ms = ((int64) span->month * DAYS_PER_MONTH + span->day) *
				(SECS_PER_DAY * INT64CONST(1000)) +
			span->time / 1000;
	}
	PG_CATCH();
	{
		int category = ERRCODE_TO_CATEGORY(geterrcode());

		MemoryContextSwitchTo(old);
		if (category != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		FlushErrorState();
		ms = -1;
	}
	PG_END_TRY();
	return ms;
}

static int64
value_ms(const JsonbValue *value)
{
	double seconds;

	if (value->type == jbvString)
		return interval_text_ms(pnstrdup(value->val.string.val, value->val.string.len));
	if (value->type != jbvNumeric)
		return -1;
	seconds = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												 NumericGetDatum(value->val.numeric)));
	return seconds >= 0 && seconds * 1000 <= LONGEST_MS ? (int64) (seconds * 1000) : -1;
}

/* in milliseconds; of the keys only "for" may be 0, which means no limit */
static int64
duration(const JsonbValue *value, RetryKey key, const char *what)
{
	int64 ms = value_ms(value);
	bool zero_allowed = key == KEY_FOR;

	if (ms > 0 && ms <= LONGEST_MS)
		return ms;
	if (ms == 0 && zero_allowed)
		return 0;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" of \"%s\" is not a duration", retry_keys[key], what),
			 errhint("Give an interval such as \"30 s\" or a number of seconds%s.",
					 zero_allowed ? "; 0 means no limit" : " greater than 0")));
	return 0;
}

static int
count_of(const JsonbValue *value, const char *what)
{
	double count = -1;

	if (value->type == jbvNumeric)
		count = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												   NumericGetDatum(value->val.numeric)));
	if (count < 0 || count > PG_INT32_MAX || count != (double) (int) count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"max_attempts\" of \"%s\" is not a number of attempts", what),
				 errhint("Give a whole number; 0 means no limit.")));
	return (int) count;
}

static void
set_key(DfRetry *retry, RetryKey key, const JsonbValue *value, const char *what)
{
	switch (key)
	{
		case KEY_MAX_ATTEMPTS:
			retry->max_attempts = count_of(value, what);
			break;
		case KEY_INITIAL:
			retry->initial_ms = duration(value, key, what);
			break;
		case KEY_MAX:
			retry->max_ms = duration(value, key, what);
			break;
		case KEY_FOR:
			retry->for_ms = duration(value, key, what);
			break;
	}
}

void
df_retry_from_jsonb(const Jsonb *retry, DfRetry *inout, const char *what)
{
	DfJsonWalk walk;

	if (retry == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(retry))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a JSON object", what),
				 errhint(RETRY_HINT)));
	df_json_walk(&walk, retry);
	while (df_json_next(&walk))
		set_key(inout, key_of(walk.key, what), &walk.value, what);
}

void
df_retry_check(const Jsonb *retry, const char *what)
{
	DfRetry given = {.initial_ms = -1, .max_ms = -1};

	df_retry_from_jsonb(retry, &given, what);
	if (given.max_ms < 0 || given.initial_ms <= given.max_ms)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"initial\" of \"%s\" is longer than \"max\"", what),
			 errhint("Give a \"max\" that is at least as long, or leave it out.")));
}
