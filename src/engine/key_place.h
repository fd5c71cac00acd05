/*
 * engine/key_place.h
 *	  The idempotency key of a request in its body or its query, for systems that want it there.
 */
#ifndef DF_KEY_PLACE_H
#define DF_KEY_PLACE_H

#include "shared/json.h"
#include "types/body_format.h"
#include "types/step_spec.h"
#include "types/system_options.h"

/* to and from the options of a step: what its system says when it is called holds for life */
extern bool df_key_place_write(DfJson *json, const DfSystem *system);
extern void df_key_place_read(const Jsonb *options, DfKeyPlace *place);

/*
 * Whether the key can be put into the request, of which `what` ("body of step "x"") is the
 * body; 22023 if not.  Only a POST and a PATCH carry it.
 */
extern void df_key_place_check(const DfSystem *system, const DfBodyFormat *format,
							   const char *request, const Jsonb *body, const char *what);

/* the path and the recorded body with the key in them, if it belongs there */
extern const char *df_key_in_path(const DfKeyPlace *place, const char *method, const char *path,
								  const char *key);
extern const char *df_key_in_body(const DfKeyPlace *place, const char *method,
								  const DfBodyFormat *format, const char *recorded,
								  const char *key);

#endif /* DF_KEY_PLACE_H */
