/*
 * ingress/link_page.h
 *	  The pages that people see who open a link of event_url().
 */
#ifndef DF_LINK_PAGE_H
#define DF_LINK_PAGE_H

#include "ingress/listener.h"
#include "utils/jsonb.h"

/* bytes of the author's texts, as JSON: they stand in the link, and mail programs cut long ones */
#define DF_LINK_PAGE_MAX 1200

typedef enum DfLinkPageKind
{
	DF_LINK_ASK,
	DF_LINK_DONE,
	DF_LINK_USED,
	DF_LINK_ENDED, /* the run has ended */
	DF_LINK_EXPIRED,
	DF_LINK_INVALID
} DfLinkPageKind;

/* the author's texts as they stand in a link; raises an error that names what is wrong */
extern char *df_link_page_text(const Jsonb *texts);

/* replies with a page; texts: the author's, or NULL */
extern void df_link_page_reply(DfRequest *request, DfLinkPageKind kind, const Jsonb *texts);

/* the style sheet of those pages */
extern void df_link_page_style(DfRequest *request);

#endif /* DF_LINK_PAGE_H */
