/*
 * store/version.h
 *	  Which version of the schema is installed, and whether this library fits it.
 */
#ifndef DF_STORE_VERSION_H
#define DF_STORE_VERSION_H

/* in a transaction: whether that is the version that this library was made for */
extern bool df_schema_fits(void);

/*
 * in a transaction that has the extension: what is wrong and what to do; NULL if the library fits
 */
extern const char *df_schema_problem(void);
extern const char *df_schema_remedy(void);

/*
 * pushed on error_context_stack while the library does not fit: an error of the schema's gets
 * that remedy as its hint
 */
extern void df_schema_explain(void *arg);

#endif /* DF_STORE_VERSION_H */
