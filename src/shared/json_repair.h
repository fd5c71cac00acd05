/*
 * shared/json_repair.h
 *	  JSON that is almost what jsonb can hold.
 */
#ifndef DF_JSON_REPAIR_H
#define DF_JSON_REPAIR_H

/* palloc'd; NULL if there is nothing to repair.  The text is UTF-8. */
extern char *df_json_repair(const char *text);

#endif /* DF_JSON_REPAIR_H */
