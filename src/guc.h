/*
 * guc.h
 *	  The settings, defined in guc.c.
 */
#ifndef DF_GUC_H
#define DF_GUC_H

extern int df_body_timeout; /* ms */
extern int df_sweep_interval; /* ms */
extern int df_worker_idle; /* ms */
extern int df_workers_per_owner;
extern int df_max_metrics; /* series in shared memory */
extern int df_max_processes;
extern int df_handler_timeout; /* ms */
extern int df_ingress_connections;
extern int df_ingress_timeout; /* seconds */
extern char *df_ingress_database; /* "" = whichever */
extern char *df_ingress_role;
extern char *df_otlp_endpoint; /* "" = no tracing */
extern char *df_traceparent; /* of this session, "" = none */
extern char *df_public_url; /* "" = event_url() raises an error */
extern char *df_listen; /* "" = no ingress */
extern char *df_metrics; /* "" = off, "local", "token:<system>" */
extern char *df_on_stuck; /* "" = nothing, a workflow, "channel:<name>" */
extern int df_max_runs; /* runs that a worker holds in memory */
extern int df_node; /* 0 = this server is no node of several */
extern double df_share; /* this node's part of the limits of systems */
extern int df_max_in_flight; /* requests of one worker at a time */
extern int df_max_steps;
extern int df_max_systems;
extern int df_max_body; /* bytes */
extern int df_retention; /* seconds */
extern int df_query_timeout; /* ms, 0 = none */
extern int df_sql_workers_per_owner;
extern int df_signal_ttl; /* seconds */
extern int df_undo_for; /* seconds */
extern bool df_allow_superuser_owner;
extern bool df_dashboard; /* whether the page for people is served */
extern char *df_identity_token;
/* its value when the server started; NULL in a backend that loaded the library by itself */
extern char *df_identity_at_start;

/* called from _PG_init; `preloaded`: by shared_preload_libraries */
extern void df_guc_define(bool preloaded);

#endif /* DF_GUC_H */
