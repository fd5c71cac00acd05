/*
 * ingress/event_link.h
 *	  Links that signal a run: /event/<what>.<code>.
 */
#ifndef DF_EVENT_LINK_H
#define DF_EVENT_LINK_H

#include "ingress/listener.h"

/* GET shows a page with a button, POST signals; both need a transaction */
extern void df_event_link_show(DfRequest *request);
extern void df_event_link_follow(DfRequest *request);

#endif /* DF_EVENT_LINK_H */
