/*
 * ingress/page.h
 *	  The page for people: /page.
 */
#ifndef DF_INGRESS_PAGE_H
#define DF_INGRESS_PAGE_H

#include "ingress/listener.h"
#include "store/page_calls.h"

/* files embedded at build time; the last has no name */
typedef struct DfPageFile
{
	const char *name;
	const char *bytes;
	size_t len;
} DfPageFile;

extern const DfPageFile df_page_files[];

#define DF_PAGE_TOKEN_LEN 64

/* whose request it is, by its cookie, and the token; InvalidOid = nobody's.  In a transaction */
extern Oid df_page_role_of(const DfRequest *request, char *token);

/*
 * Asks in a subtransaction, for a limited time; NULL = there is no such thing, or, with *error
 * set, it could not be asked.
 */
extern char *df_page_ask(const DfPageCall *call, Oid role, char **values, ErrorData **error);

/* how the page's responses look */
extern void df_page_secure(DfRequest *request, const char *cache);
extern void df_page_reply_log_in(DfRequest *request);
extern void df_page_reply_busy(DfRequest *request);
extern void df_page_reply_error(DfRequest *request, const ErrorData *error);
extern char *df_page_error_text(const ErrorData *error);

/* routes paths that begin with /page, if dataflows.dashboard is on */
extern DfRouteHandler df_page_route(DfRequest *request);

#endif /* DF_INGRESS_PAGE_H */
