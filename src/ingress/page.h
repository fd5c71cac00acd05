/*
 * ingress/page.h
 *	  The page for people: /page.
 */
#ifndef DF_INGRESS_PAGE_H
#define DF_INGRESS_PAGE_H

#include "ingress/listener.h"

/* files embedded at build time; the last has no name */
typedef struct DfPageFile
{
	const char *name;
	const char *bytes;
	size_t len;
} DfPageFile;

extern const DfPageFile df_page_files[];

/* routes paths that begin with /page, if dataflows.dashboard is on */
extern DfRouteHandler df_page_route(DfRequest *request);

#endif /* DF_INGRESS_PAGE_H */
