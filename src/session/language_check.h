/*
 * session/language_check.h
 *	  What the checker of a language finds in a workflow's function.
 */
#ifndef DF_SESSION_LANGUAGE_CHECK_H
#define DF_SESSION_LANGUAGE_CHECK_H

/* warns of it, if the checker is installed: "schema.name(jsonb)" */
extern void df_language_check(const char *function);

#endif /* DF_SESSION_LANGUAGE_CHECK_H */
