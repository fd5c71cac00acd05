/*
 * engine/probe_found.h
 *	  What a probe's response shows: how many resources, and which.
 */
#ifndef DF_PROBE_FOUND_H
#define DF_PROBE_FOUND_H

#include "flow/meaning.h"
#include "types/response.h"
#include "types/run.h"

/*
 * How many resources the response shows, or DF_FOUND_UNKNOWN; *resource is the one, if it is
 * one and has a body.
 */
extern int df_probe_found(DfRun *run, DfStep *step, const DfResponse *response,
						  const DfCame *came, Jsonb **resource);

#endif /* DF_PROBE_FOUND_H */
