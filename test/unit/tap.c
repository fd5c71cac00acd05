/*
 * test/unit/tap.c
 *	  What the unit tests print: TAP, and the first thing that was wrong in each test.
 *
 * Linked into every unit test, which is an ordinary program: it needs nothing of a
 * server, and provides what an assertion of the sources under test calls.
 */
#include "postgres.h"

#include "tap.h"

static int n_tests = 0;
static int n_failed = 0;
static char detail[512];

#ifdef USE_ASSERT_CHECKING
bool assert_enabled = true;

#if PG_VERSION_NUM < 160000
void
ExceptionalCondition(const char *what, const char *type, const char *file, int line)
#else
void
ExceptionalCondition(const char *what, const char *file, int line)
#endif
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}
#endif

void
note_wrong(const char *format, ...)
{
	va_list arguments;

	if (detail[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(detail, sizeof(detail), format, arguments);
	va_end(arguments);
}

const char *
what_is_wrong(void)
{
	return detail;
}

/* A name may be anything that a test was given: what TAP would misread is left out. */
static void
print_name(const char *name)
{
	for (; *name != '\0'; name++)
		putchar(*name >= ' ' && *name < 0x7F && *name != '#' ? *name : ' ');
	putchar('\n');
}

void
end_test(const char *name)
{
	n_tests++;
	printf("%sok %d - ", detail[0] != '\0' ? "not " : "", n_tests);
	print_name(name);
	if (detail[0] != '\0')
	{
		n_failed++;
		printf("# %s\n", detail);
	}
	fflush(stdout);
	detail[0] = '\0';
}

void
ok(bool good, const char *name, const char *got)
{
	EXPECT(good, "got: %s", got != NULL ? got : "(nothing)");
	end_test(name);
}

void
is(const char *got, const char *expected, const char *name)
{
	EXPECT(got != NULL && strcmp(got, expected) == 0, "got: %s, expected: %s",
		   got != NULL ? got : "(nothing)", expected);
	end_test(name);
}

int
done_testing(void)
{
	printf("1..%d\n", n_tests);
	return n_failed == 0 ? 0 : 1;
}
