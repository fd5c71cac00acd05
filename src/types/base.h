/*
 * types/base.h
 *	  What every type rests on: limits of names, our SQLSTATEs, the time that is none.
 *
 * Nobody's: constants.  Times are TimestampTz in the database's clock; strings are
 * NUL-terminated in the server's encoding, NULL means absent.
 */
#ifndef DF_TYPES_BASE_H
#define DF_TYPES_BASE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#define DF_NEVER ((TimestampTz) 0)

/* the earlier of two times; DF_NEVER is later than all */
static inline TimestampTz
df_earlier(TimestampTz a, TimestampTz b)
{
	if (a == DF_NEVER)
		return b;
	if (b == DF_NEVER)
		return a;
	return Min(a, b);
}

/* limits of what a name or key may be, in bytes */
#define DF_MAX_NAME 200
#define DF_MAX_KEY 1024
/* of a path with its query, and of a step's headers together: servers take less */
#define DF_MAX_HEAD 65536

/* SQLSTATEs of our own, docs/reference/errors.md lists them */
#define DF_ERR_STEP_FAILED MAKE_SQLSTATE('D', 'F', '0', '0', '1')
#define DF_ERR_CANCELLED MAKE_SQLSTATE('D', 'F', '0', '0', '2')
#define DF_ERR_RECORD_MISMATCH MAKE_SQLSTATE('D', 'F', '0', '0', '3')
#define DF_ERR_OUTSIDE_WORKFLOW MAKE_SQLSTATE('D', 'F', '0', '0', '4')
#define DF_ERR_UNKNOWN MAKE_SQLSTATE('D', 'F', '0', '0', '5')
#define DF_ERR_LIMIT MAKE_SQLSTATE('D', 'F', '0', '0', '6')
#define DF_ERR_NOT_LOADED MAKE_SQLSTATE('D', 'F', '0', '0', '7')
#define DF_ERR_FAIL MAKE_SQLSTATE('D', 'F', '0', '0', '8')

/* such text does not go into a line of a log or a page */
static inline bool
df_has_control_character(const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			return true;
	return false;
}

/*
 * Whether a step or an event may have this name: '#' is the engine's, in name#n,
 * so that no body could ever wait for an event that has one.
 */
static inline bool
df_name_is_clean(const char *name)
{
	return strchr(name, '#') == NULL && !df_has_control_character(name);
}

#endif /* DF_TYPES_BASE_H */
