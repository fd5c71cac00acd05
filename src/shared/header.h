/*
 * shared/header.h
 *	  Facts about headers of requests: whose they are, and what is legal.
 *
 * Options of systems, calls of steps and the HTTP room ask here, so that what is
 * let in can be sent.
 */
#ifndef DF_SHARED_HEADER_H
#define DF_SHARED_HEADER_H

#include "df_types.h"

/* the one that carries the key unless a system names another */
#define DF_IDEMPOTENCY_HEADER "Idempotency-Key"

typedef enum DfHeaderKind
{
	DF_HEADER_FREE, /* anybody's */
	DF_HEADER_PUBLIC, /* likewise; describes the request, so another origin may see it */
	DF_HEADER_SECRET, /* likewise; belongs into a USER MAPPING */
	DF_HEADER_KEY, /* each step's own key */
	DF_HEADER_TRANSPORT /* libcurl's, or it concerns one connection: nobody may set it */
} DfHeaderKind;

extern DfHeaderKind df_header_kind(const char *name, size_t len);

/* whether two names are the same: case does not matter */
extern bool df_header_is(const char *name, size_t len, const char *other);

/* a token of RFC 9110: how long the one is that a text begins with, and whether it is one */
extern size_t df_header_name_length(const char *text);
extern bool df_header_name_is_legal(const char *name, size_t len);

/* no control characters, so no second header and no end of the head */
extern bool df_header_value_is_legal(const char *value, size_t len);

#endif /* DF_SHARED_HEADER_H */
