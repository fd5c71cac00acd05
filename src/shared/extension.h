/*
 * shared/extension.h
 *	  Our extension in this database, and what belongs to it.
 */
#ifndef DF_EXTENSION_H
#define DF_EXTENSION_H

/* InvalidOid = this database has none */
extern Oid df_extension_oid(void);

/* whether an object of that catalog is a member of it: a name alone proves nothing */
extern bool df_extension_has(Oid catalog, Oid object);

#endif /* DF_EXTENSION_H */
