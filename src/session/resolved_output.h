/*
 * session/resolved_output.h
 *	  The output that resolve() gives a step.
 */
#ifndef DF_RESOLVED_OUTPUT_H
#define DF_RESOLVED_OUTPUT_H

#include "store/inbox_table.h"

/*
 * Between df_store_enter() and df_store_leave(): raises 22023 if what takes the step back names
 * a field that the output has not.
 */
extern void df_check_resolved_output(const pg_uuid_t *run, const DfStepStates *step,
									 const Jsonb *output, MemoryContext cxt);

#endif /* DF_RESOLVED_OUTPUT_H */
