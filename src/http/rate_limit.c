/*
 * http/rate_limit.c
 *	  How long a system asks to be left alone, in whatever words it says so.
 *
 * Runs in workers when a response has ended, in no transaction.  Reads Retry-After of any
 * response, and of one that may be about a rate limit the headers that name its end: they
 * are on all other responses too, where they ask for nothing.  There are as many
 * spellings as vendors, so a name is taken apart: what ends in "reset" has a sister that
 * ends in "remaining", and counts if that one is 0.
 *
 * Must never raise an error and never palloc.
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>
#include <time.h>

#include <curl/curl.h>

#include "http/rate_limit.h"
#include "types/retry.h"

/* nothing left, and no word of when there will be more */
#define UNKNOWN_MS 10000

/* what a number is that is too large to be seconds to wait */
#define LEAST_EPOCH_S 1e9
#define LEAST_EPOCH_MS 1e12

static double
unix_seconds(TimestampTz at)
{
	return (double) at / USECS_PER_SEC +
		(double) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
}

static int64
capped(double seconds)
{
	if (!(seconds > 0))
		return 0;
	return seconds > DF_MAX_ASKED_MS / 1000 ? DF_MAX_ASKED_MS : (int64) ceil(seconds * 1000);
}

/* 2026-01-31T12:00:00.5Z or with +02:00; -1 = it is none */
static double
read_iso_date(const char *text)
{
	struct tm tm = {0};
	int used = 0;
	char *rest;
	double fraction = 0;
	int hours = 0;
	int minutes = 0;
	double zone;

	if (sscanf(text, "%4d-%2d-%2d%*[T ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
			   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6)
		return -1;
	rest = (char *) text + used;
	if (*rest == '.')
		fraction = strtod(rest, &rest);
	if (*rest != '+' && *rest != '-' && *rest != 'Z' && *rest != 'z' && *rest != '\0')
		return -1;
	(void) sscanf(rest, "%*[+-]%2d%*[:]%2d", &hours, &minutes);
	zone = (hours * 60 + minutes) * 60.0 * (*rest == '-' ? -1 : 1);
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (double) timegm(&tm) + fraction - zone;
}

static double
read_date(const char *text)
{
	double iso = read_iso_date(text);

	return iso >= 0 ? iso : (double) curl_getdate(text, NULL);
}

static double
unit_of(const char **text)
{
	static const struct
	{
		const char *name;
		double seconds;
	} units[] = {{"ms", 0.001}, {"h", 3600}, {"m", 60}, {"s", 1}};

	for (int i = 0; i < (int) lengthof(units); i++)
	{
		size_t len = strlen(units[i].name);

		if (strncmp(*text, units[i].name, len) == 0)
		{
			*text += len;
			return units[i].seconds;
		}
	}
	return -1;
}

/* "6m0s", "120ms"; -1 = it is none */
static double
read_duration(const char *text)
{
	double seconds = 0;

	while (isdigit((unsigned char) *text))
	{
		char *end;
		double number = strtod(text, &end);
		double unit;

		text = end;
		unit = unit_of(&text);
		if (unit < 0)
			return -1;
		seconds += number * unit;
	}
	return *text == '\0' ? seconds : -1;
}

/* seconds to go, or the end as a date or in seconds or ms of Unix, or a duration; -1 = neither */
static int64
read_wait(const char *text, TimestampTz now)
{
	char *end = (char *) text;
	double number = isdigit((unsigned char) text[0]) ? strtod(text, &end) : -1;
	double seconds;

	if (number >= 0 && *end == '\0')
	{
		if (number >= LEAST_EPOCH_MS)
			return capped(number / 1000 - unix_seconds(now));
		return capped(number >= LEAST_EPOCH_S ? number - unix_seconds(now) : number);
	}
	seconds = number >= 0 ? read_duration(text) : -1;
	if (seconds >= 0)
		return capped(seconds);
	seconds = read_date(text);
	return seconds >= 0 ? capped(seconds - unix_seconds(now)) : -1;
}

/* ---- headers -------------------------------------------------------------- */

typedef struct Line
{
	const char *next; /* line */
	char name[64]; /* cut, as the value is */
	char value[64];
} Line;

static void
copy_piece(char *to, size_t room, const char *from, size_t len)
{
	len = Min(len, room - 1);
	memcpy(to, from, len);
	to[len] = '\0';
}

static bool
next_line(Line *line)
{
	const char *here = line->next;
	size_t len;
	size_t name;

	if (here == NULL || *here == '\0')
		return false;
	len = strcspn(here, "\n");
	name = Min(strcspn(here, ":"), len);
	copy_piece(line->name, sizeof(line->name), here, name);
	name = Min(name + 2, len);
	copy_piece(line->value, sizeof(line->value), here + name, len - name);
	line->next = here + len + (here[len] == '\n' ? 1 : 0);
	return true;
}

/* NULL, or where the word begins in the name of a rate limit's header */
static char *
rate_limit_word(char *name, const char *word)
{
	if (strstr(name, "ratelimit") == NULL && strstr(name, "rate-limit") == NULL)
		return NULL;
	return strstr(name, word);
}

/* of the header whose name has "remaining" where this one has "reset": -1 = it is not there */
static double
remaining_for(const char *headers, const Line *reset, const char *word)
{
	size_t before = word - reset->name;
	const char *after = word + strlen("reset");
	Line line = {headers};

	while (next_line(&line))
	{
		char *found = rate_limit_word(line.name, "remaining");

		if (found != NULL && found - line.name == before &&
			strncmp(line.name, reset->name, before) == 0 &&
			strcmp(found + strlen("remaining"), after) == 0)
			return isdigit((unsigned char) line.value[0]) ? strtod(line.value, NULL) : -1;
	}
	return -1;
}

/* the number behind one of the two spellings of a field of "RateLimit: ..."; -1 = none */
static double
field_of(const char *value, const char *spelled, const char *short_spelled)
{
	const char *found = strstr(value, spelled);

	if (found != NULL)
		return strtod(found + strlen(spelled), NULL);
	found = strstr(value, short_spelled);
	return found != NULL ? strtod(found + strlen(short_spelled), NULL) : -1;
}

/* what one header says of a response that may be about a limit; -1 = nothing */
static int64
asked_by(int status, const char *headers, Line *line, TimestampTz now)
{
	char *word = rate_limit_word(line->name, "reset");
	bool standard = strcmp(line->name, "ratelimit-reset") == 0;
	double left;

	if (strcmp(line->name, "ratelimit") == 0)
	{
		left = field_of(line->value, "reset=", ";t=");
		return left >= 0 && field_of(line->value, "remaining=", ";r=") <= 0 ? capped(left) : -1;
	}
	if (word == NULL)
		return -1;
	left = remaining_for(headers, line, word);
	/* without a sister, the status says that nothing is left */
	if (left == 0 || ((left < 0 || standard) && status != 403))
		return read_wait(line->value, now);
	return -1;
}

/*
 * Whether the status may be about a rate limit.  Others are not: the last request that is
 * let through may be answered with 404, and nothing is left then, too.
 */
static bool
may_be_limited(int status)
{
	return status == 429 || status == 403 || status == 503 || status == 420;
}

int64
df_rate_limit_ms(int status, const char *headers, TimestampTz now)
{
	int64 asked = -1; /* by Retry-After */
	int64 limit = -1;
	bool none_left = false;
	Line line = {headers};

	/* usually: nothing is asked for */
	if (headers == NULL || (!may_be_limited(status) && strstr(headers, "retry-after") == NULL))
		return -1;
	while (next_line(&line))
	{
		if (strcmp(line.name, "retry-after") == 0)
			asked = Max(asked, read_wait(line.value, now));
		else if (may_be_limited(status))
		{
			limit = Max(limit, asked_by(status, headers, &line, now));
			none_left |= rate_limit_word(line.name, "remaining") != NULL &&
				strcmp(line.value, "0") == 0;
		}
	}
	if (asked >= 0)
		return asked;
	return limit < 0 && none_left ? UNKNOWN_MS : limit;
}
