/*
 * shared/statement.h
 *	  Tells whether a row trigger fires for a new row or for one that was moved
 *	  between partitions.
 */
#ifndef DF_STATEMENT_H
#define DF_STATEMENT_H

#include "utils/rel.h"

extern void df_statement_install(void); /* from _PG_init */

/*
 * In a row trigger AFTER INSERT on this table.  True: the row is not new, an UPDATE has
 * moved it here from another partition.  False also if that is unknown.
 */
extern bool df_statement_moved_row(Relation partition);

#endif /* DF_STATEMENT_H */
