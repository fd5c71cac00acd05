/*
 * types/answers.h
 *	  What a response means, and the rules by which users say it.
 *
 * Nobody's: made once from a system's or a step's option, and changed
 * by nobody.
 */
#ifndef DF_TYPES_ANSWERS_H
#define DF_TYPES_ANSWERS_H

#include "postgres.h"

/* all but the last are words of the option `answers` */
typedef enum DfMeaning
{
	DF_MEANS_DONE, /* carried out */
	DF_MEANS_KEPT, /* there already, or gone already: nothing to undo; of an undo: gone */
	DF_MEANS_RETRY, /* not carried out, to be tried again */
	DF_MEANS_DOUBT, /* nobody can tell */
	DF_MEANS_FAIL, /* not carried out, and another time will not change it */
	DF_MEANS_STUCK, /* a person has to look; nothing is undone before */
	DF_MEANS_CREDENTIALS, /* the owner's credentials are refused, not the request */
	DF_MEANS_UNUSABLE /* carried out, but the body cannot be read, and something needs it */
} DfMeaning;
#define DF_NMEANINGS (DF_MEANS_UNUSABLE + 1)

typedef struct DfStatusRange
{
	int first;
	int last;
} DfStatusRange;

/* one rule: whatever is not given fits every response */
typedef struct DfAnswer
{
	const char **methods; /* in upper case, NULL-terminated; NULL = any */
	const DfStatusRange *statuses;
	int nstatuses; /* 0 = any */
	const char *condition; /* a jsonpath predicate, NULL = none */
	DfMeaning is;
} DfAnswer;

/* an ordered list: the first that fits counts */
typedef struct DfAnswers
{
	const DfAnswer *rules;
	int n;
} DfAnswers;

/* what the rules say of a response */
typedef struct DfSaid
{
	const DfAnswer *rule; /* the one that counts; NULL = none, the status says it by itself */
	bool unknown; /* whether its condition holds cannot be told */
} DfSaid;

#endif /* DF_TYPES_ANSWERS_H */
