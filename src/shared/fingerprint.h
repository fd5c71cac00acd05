/*
 * shared/fingerprint.h
 *	  Fingerprint of a function: whether it is still what it was.
 */
#ifndef DF_FINGERPRINT_H
#define DF_FINGERPRINT_H

/*
 * Of the source and the settings of a function, and of the functions that it names and
 * those name.  The same in a restored dump; never 0.
 */
extern int64 df_fingerprint(Oid function);

/* the same in version 0.1: of the text of the function alone */
extern int64 df_fingerprint_0_1(Oid function);

/* what it says, in whatever form the catalog has it; empty if there is no such function */
extern char *df_function_source(Oid function);

#endif /* DF_FINGERPRINT_H */
