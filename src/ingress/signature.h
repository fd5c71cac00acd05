/*
 * ingress/signature.h
 *	  Verifies who sent a webhook, by one of several schemes.
 */
#ifndef DF_SIGNATURE_H
#define DF_SIGNATURE_H

typedef enum DfVerify
{
	DF_VERIFY_NONE,
	DF_VERIFY_BEARER,
	DF_VERIFY_STRIPE,
	DF_VERIFY_GITHUB,
	DF_VERIFY_STANDARD, /* Standard Webhooks */
	DF_VERIFY_SLACK,
	DF_VERIFY_HUBSPOT, /* version 3 */
	DF_VERIFY_SENDGRID, /* ECDSA; the secret is a public key */
	DF_VERIFY_BASIC, /* the secret is "user:password" */
	DF_VERIFY_HMAC /* HMAC-SHA256 of the body in a header of its own */
} DfVerify;

/* parses the argument `verify`; false if it is unknown; *header (HMAC only) is in lower case */
extern bool df_verify_parse(const char *text, DfVerify *scheme, char **header);

/* the value of a header, by its name in lower case, palloc'd; NULL = absent */
typedef char *(*DfHeaderLookup)(const void *headers, const char *name);

typedef struct DfDelivery
{
	DfHeaderLookup header;
	const void *headers;
	const char *body;
	size_t body_len;
	const char *url; /* where it was sent to; NULL = not known */
	int64 now; /* seconds since 1970 */
} DfDelivery;

/*
 * NULL if the delivery is signed with the secret, else why not, without telling what would
 * be right
 */
extern const char *df_verify(DfVerify scheme, const char *header, const char *secret,
							 const DfDelivery *delivery);

/*
 * The sender's id of this delivery, the same when it is repeated; NULL = its headers have
 * none.
 */
extern char *df_event_id(DfVerify scheme, const DfDelivery *delivery);

#endif /* DF_SIGNATURE_H */
