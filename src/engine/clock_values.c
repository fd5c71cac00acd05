/*
 * engine/clock_values.c
 *	  Whether two values differ in nothing but the time at which they were made.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.  Many
 * bodies put the present time into a request.  A value is taken for that if it is the
 * time of its own making, in both; so two appointments are never taken for each other.
 */
#include "postgres.h"

#include "engine/clock_values.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* a body is entered, and its steps are recorded, within this time of each other */
#define NEAR_US (60 * USECS_PER_SEC)

/* epoch seconds of a time that a body may give: 2001 to 2286 */
#define LEAST_EPOCH 1e9
#define MOST_EPOCH 1e10

static bool
is_near(TimestampTz one, TimestampTz other)
{
	return one > other - NEAR_US && one < other + NEAR_US;
}

/* +02, +0200, +02:00, Z, or nothing: the session's zone; in seconds west, as PostgreSQL has it */
static bool
read_zone(const char *p, struct pg_tm *tm, int *zone)
{
	int hours;
	int minutes = 0;
	int n = 0;

	if (*p == '\0')
	{
		*zone = DetermineTimeZoneOffset(tm, session_timezone);
		return true;
	}
	*zone = 0;
	if (strcmp(p, "Z") == 0)
		return true;
	if ((*p != '+' && *p != '-') || sscanf(p + 1, "%2d%n", &hours, &n) != 1)
		return false;
	*zone = (*p == '+' ? -1 : 1) * hours * SECS_PER_HOUR;
	p += 1 + n;
	if (*p == ':')
		p++;
	if (*p == '\0')
		return true;
	if (sscanf(p, "%2d%n", &minutes, &n) != 1 || p[n] != '\0')
		return false;
	*zone += (*zone > 0 ? 1 : -1) * minutes * SECS_PER_MINUTE;
	return true;
}

/* as PostgreSQL and JSON write it: 2026-11-27 15:04:05.678+00 */
static bool
read_time(const char *text, TimestampTz *at)
{
	struct pg_tm tm = {0};
	char between;
	int n = 0;
	int zone;

	if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &between,
			   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 7 ||
		(between != ' ' && between != 'T') || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
		tm.tm_mday > 31)
		return false;
	if (text[n] == '.')
		n += 1 + strspn(text + n + 1, "0123456789");
	return read_zone(text + n, &tm, &zone) && tm2timestamp(&tm, 0, &zone, at) == 0;
}

/* seconds or milliseconds since 1970 */
static bool
read_epoch(const char *text, TimestampTz *at)
{
	char *end;
	double number = strtod(text, &end);

	if (*end != '\0')
		return false;
	if (number > MOST_EPOCH)
		number /= 1000;
	if (!(number > LEAST_EPOCH && number < MOST_EPOCH))
		return false;
	*at = (TimestampTz) ((number - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) *
						 USECS_PER_SEC);
	return true;
}

static bool
reads_as_time(const char *text, TimestampTz *at)
{
	return text != NULL && (read_time(text, at) || read_epoch(text, at));
}

static bool
same_scalar(const JsonbValue *one, const JsonbValue *other, TimestampTz then)
{
	char *one_text = df_json_scalar_of(one);
	char *other_text = df_json_scalar_of(other);
	TimestampTz one_at;
	TimestampTz other_at;

	if (one->type != other->type)
		return false;
	if (one_text == NULL || other_text == NULL)
		return one_text == other_text;
	return strcmp(one_text, other_text) == 0 ||
		(reads_as_time(one_text, &one_at) && reads_as_time(other_text, &other_at) &&
		 is_near(one_at, then) && is_near(other_at, df_now()));
}

bool
df_same_but_clock(const Jsonb *one, const Jsonb *other, TimestampTz then)
{
	DfJsonWalk one_walk;
	DfJsonWalk other_walk;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (JB_ROOT_IS_OBJECT(one) != JB_ROOT_IS_OBJECT(other) ||
		JB_ROOT_IS_SCALAR(one) != JB_ROOT_IS_SCALAR(other) ||
		JB_ROOT_COUNT(one) != JB_ROOT_COUNT(other))
		return false;
	df_json_walk(&one_walk, one);
	df_json_walk(&other_walk, other);
	while (df_json_next(&one_walk) && df_json_next(&other_walk))
	{
		if (one_walk.key != NULL && strcmp(one_walk.key, other_walk.key) != 0)
			return false;
		if (one_walk.value.type == jbvBinary && other_walk.value.type == jbvBinary)
		{
			if (!df_same_but_clock(df_json_of(&one_walk.value), df_json_of(&other_walk.value),
								   then))
				return false;
		}
		else if (!same_scalar(&one_walk.value, &other_walk.value, then))
			return false;
	}
	return true;
}
