/*
 * df_types.h
 *	  All of types/, for files that do not name yet what they need of it.
 *
 * New code includes the headers of types/ themselves.
 */
#ifndef DF_TYPES_H
#define DF_TYPES_H

#include "types/base.h"
#include "types/fate.h"
#include "types/message.h"
#include "types/retry.h"
#include "types/run.h"
#include "types/states.h"
#include "types/step.h"
#include "types/step_spec.h"
#include "types/workflow_version.h"

#endif /* DF_TYPES_H */
