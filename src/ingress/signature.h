/*
 * ingress/signature.h
 *	  Whether a webhook is from who it says: the schemes of its senders.
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
	DF_VERIFY_HMAC /* HMAC-SHA256 of the body in a header of its own */
} DfVerify;

/* what stands in `verify`; false if it is none of them; *header is lower case, for HMAC only */
extern bool df_verify_parse(const char *text, DfVerify *scheme, char **header);

/* a header by its name in lower case, palloc'd; NULL = it is not there */
typedef char *(*DfHeaderLookup)(const void *headers, const char *name);

typedef struct DfDelivery
{
	DfHeaderLookup header;
	const void *headers;
	const char *body;
	size_t body_len;
	int64 now; /* seconds since 1970 */
} DfDelivery;

/* NULL if it is signed with the secret, else why it is not, without telling what would be right */
extern const char *df_verify(DfVerify scheme, const char *header, const char *secret,
							 const DfDelivery *delivery);

/*
 * how the sender calls this delivery, the same when it is repeated; NULL = its headers do not say
 */
extern char *df_event_id(DfVerify scheme, const DfDelivery *delivery);

#endif /* DF_SIGNATURE_H */
