/*
 * test/unit/tap.h
 *	  What the unit tests print: TAP, and the first thing that was wrong in each test.
 */
#ifndef UNIT_TAP_H
#define UNIT_TAP_H

#include "postgres.h"

/* Notes what is wrong unless the condition holds; the first note of a test is the one printed. */
#define EXPECT(condition, ...) \
	do \
	{ \
		if (!(condition)) \
			note_wrong(__VA_ARGS__); \
	} while (0)

extern void note_wrong(const char *format, ...) pg_attribute_printf(1, 2);
extern const char *what_is_wrong(void);
extern void end_test(const char *name);

/* one test each, with what was got and expected if they differ */
extern void ok(bool good, const char *name, const char *got);
extern void is(const char *got, const char *expected, const char *name);

/* the plan, and the exit code of the program */
extern int done_testing(void);

#endif
