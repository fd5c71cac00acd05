/*
 * worker/aws_signature.h
 *	  AWS Signature Version 4, and its relatives of other providers.
 */
#ifndef DF_AWS_SIGNATURE_H
#define DF_AWS_SIGNATURE_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct DfAwsRequest
{
	const char *option; /* provider:provider:region:service, such as aws:amz:eu-west-1:ses */
	const char *access_key;
	const char *secret_key;
	const char *session_token; /* NULL = none */
	const char *method;
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; the last of a name counts */
	const char *body; /* NULL = none */
	size_t body_len;
	int64 seconds; /* since 1970 */
} DfAwsRequest;

#define DF_AWS_HEADERS 4

/* the URL with its query in the one spelling that is signed, so that nobody reads it otherwise */
extern char *df_aws_url(const char *url);

/* writes up to DF_AWS_HEADERS headers that sign it, palloc'd; returns how many */
extern int df_aws_sign(const DfAwsRequest *request, const char **headers);

#endif /* DF_AWS_SIGNATURE_H */
