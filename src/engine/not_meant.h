/*
 * engine/not_meant.h
 *	  What can be written in a step, and cannot be meant.
 */
#ifndef DF_NOT_MEANT_H
#define DF_NOT_MEANT_H

#include "types/answers.h"
#include "utils/jsonb.h"

/* an undo or a probe with "{{id}}" or "/:id" in its path: 22023 */
extern void df_check_placeholders(const char *request, const char *what);

/* a DELETE, without a body and headers, of all that the POST adds to: 22023 */
extern void df_check_undo_of_all(const char *undo, const char *asked);

/*
 * a DELETE, PUT or PATCH, or the template of one, with an empty part in its path or a parameter
 * without its value: 22023.  The last part may be empty if slash_is_meant
 */
extern void df_check_names_something(const char *request, const char *what, bool is_template,
									 bool slash_is_meant);

/* a POST or PATCH that is sent again whenever it was carried out: 22023 */
extern void df_check_answers_meant(const DfAnswers *answers, const char *method);

#endif /* DF_NOT_MEANT_H */
