/*
 * store/subxact.h
 *	  An action of which an error is an answer.
 */
#ifndef DF_STORE_SUBXACT_H
#define DF_STORE_SUBXACT_H

/* false: it raised, *error tells what (palloc'd), and nothing of it has happened */
extern bool df_subxact(void (*action)(void *), void *arg, bool keep, ErrorData **error);

#endif /* DF_STORE_SUBXACT_H */
