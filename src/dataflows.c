/*
 * dataflows.c
 *	  Loads the library: settings, hooks, shared memory, the launcher.
 *
 * Runs in the postmaster if dataflows is in shared_preload_libraries, else in a backend.
 * Without preloading only the settings and what triggers need exist: the extension can be
 * created and runs can be started, but workflows cannot be defined and no run moves.  Must
 * never touch a table.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"

#include "compat.h"
#include "guc.h"
#include "shared/metrics.h"
#include "shared/slots.h"
#include "shared/statement.h"
#include "worker/launcher.h"
#include "worker/utility_hook.h"

PG_MODULE_MAGIC;

void _PG_init(void);

static shmem_request_hook_type previous_shmem_request = NULL;
static shmem_startup_hook_type previous_shmem_startup = NULL;

static void
request_shmem(void)
{
	if (previous_shmem_request != NULL)
		previous_shmem_request();
	df_shared_request();
	df_metrics_request();
}

static void
startup_shmem(void)
{
	if (previous_shmem_startup != NULL)
		previous_shmem_startup();
	df_shared_startup();
	df_metrics_startup();
}

void
_PG_init(void)
{
	df_guc_define(process_shared_preload_libraries_in_progress);
	df_statement_install();
	if (!process_shared_preload_libraries_in_progress)
		return;

	df_compat_request_shmem(previous_shmem_request, request_shmem);
	previous_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
	df_utility_hook_install();

	/* pg_upgrade is reading the databases: no run may move meanwhile */
	if (!IsBinaryUpgrade)
		df_launcher_register();
}
