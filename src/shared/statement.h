/*
 * shared/statement.h
 *	  Which statement it is whose triggers are being fired.
 */
#ifndef DF_STATEMENT_H
#define DF_STATEMENT_H

#include "utils/rel.h"

extern void df_statement_install(void); /* from _PG_init */

/*
 * In a row trigger AFTER INSERT on this table: the row is no new one, an UPDATE
 * has moved it here from another partition.  False if that cannot be told.
 */
extern bool df_statement_moved_row(Relation partition);

#endif /* DF_STATEMENT_H */
