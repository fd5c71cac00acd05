/*
 * shared/read_answers.h
 *	  Reads what responses are to mean, as users write it.
 */
#ifndef DF_SHARED_READ_ANSWERS_H
#define DF_SHARED_READ_ANSWERS_H

#include "types/answers.h"
#include "utils/jsonb.h"

/* what is wrong with a list; it may quote it, since a list is no secret */
typedef struct DfAnswersProblem
{
	char *message;
	char *hint;
} DfAnswersProblem;

/*
 * A list, in the current memory context; NULL with *problem.  It is '409=kept, 5xx=doubt', or
 * JSON: an array of rules, or one rule.  `what` names it in messages.
 */
extern const DfAnswers *df_answers_from_text(const char *text, const char *what,
											 DfAnswersProblem *problem);
extern const DfAnswers *df_answers_from_json(const Jsonb *json, const char *what,
											 DfAnswersProblem *problem);

/* raises 22023 */
extern void df_answers_check(const Jsonb *json, const char *what);

extern const char *df_meaning_name(DfMeaning meaning);
extern int df_meaning_of(const char *name); /* -1 = no such name */

#endif /* DF_SHARED_READ_ANSWERS_H */
