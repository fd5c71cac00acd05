/*
 * shared/crash.c
 *	  Which bodies were running when the server crashed: notes in a mapped file.
 *
 * The postmaster reads and writes the file when it creates shared memory; the
 * processes of the engine inherit the mapping and store into it, with or without a
 * transaction.  The file is in a directory that base backups and pg_rewind skip, so
 * that a standby or a copy never has the notes of another server.  After a crash of
 * the operating system the notes may be a little old: then one entry too many or too
 * few is counted, which the next normal exit of that body corrects.  Without the file
 * the notes are in memory that survives a restart of all processes by the postmaster,
 * but not the postmaster.
 *
 * Never raise an error here: no file of ours may keep a server from starting.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"

#include "shared/crash.h"

#define PATH PG_STAT_TMP_DIR "/dataflows.bodies"
#define MAGIC UINT64CONST(0x64666c6f77733031)
#define MAX_NOTES 1000000

/* of a size that never crosses a sector, which is written as a whole */
typedef struct Note
{
	uint64 check; /* checksum of the rest; anything else = no note */
	Oid database;
	uint32 counted;
	uint64 run[2];
} Note;

typedef struct Head
{
	uint64 magic;
	uint64 system;
	uint32 nslots;
	uint32 padding[11];
} Head;

/* a note per slot, then as many for runs whose entry must be counted */
typedef struct Notes
{
	Head head;
	Note notes[FLEXIBLE_ARRAY_MEMBER];
} Notes;

static volatile Notes *mapped = NULL;
static Size mapped_size = 0;
static int slots_mapped = 0;
static bool in_file = false;

/* ---- one note ------------------------------------------------------------- */

static uint64
check_of(const volatile Note *note)
{
	return MAGIC ^ note->run[0] ^ note->run[1] ^ ((uint64) note->database << 1) ^ note->counted;
}

static bool
is_note(const volatile Note *note)
{
	return OidIsValid(note->database) && note->check == check_of(note);
}

static void
erase(volatile Note *note)
{
	note->check = ~check_of(note);
}

/* a process that ends in here leaves the old note, none, or the new one */
static void
write_note(volatile Note *note, Oid database, const pg_uuid_t *run, bool counted)
{
	uint64 words[2];

	memcpy(words, run, sizeof(words));
	erase(note);
	note->database = database;
	note->counted = counted;
	note->run[0] = words[0];
	note->run[1] = words[1];
	note->check = check_of(note);
}

static bool
is_of(const volatile Note *note, Oid database, const pg_uuid_t *run)
{
	uint64 words[2];

	memcpy(words, run, sizeof(words));
	return is_note(note) && note->database == database && note->run[0] == words[0] &&
		note->run[1] == words[1];
}

/* ---- in the postmaster: reading the old notes ------------------------------ */

static Size
size_for(int nslots)
{
	return offsetof(Notes, notes) + sizeof(Note) * 2 * nslots;
}

/* a standby has entered no bodies: a file there was copied from another server */
static bool
is_standby(void)
{
	struct stat st;

	return stat(STANDBY_SIGNAL_FILE, &st) == 0 || stat(RECOVERY_SIGNAL_FILE, &st) == 0;
}

/* NULL if there is none, or if it is another server's or damaged */
static Notes *
read_file(void)
{
	Head head;
	Notes *notes = NULL;
	int fd = OpenTransientFile(PATH, O_RDONLY | PG_BINARY);

	if (fd < 0)
		return NULL;
	if (pread(fd, &head, sizeof(head), 0) == sizeof(head) && head.magic == MAGIC &&
		head.system == GetSystemIdentifier() && head.nslots <= MAX_NOTES)
	{
		Size size = size_for(head.nslots);

		notes = palloc(size);
		if (pread(fd, notes, size, 0) != (ssize_t) size || notes->head.nslots != head.nslots)
		{
			pfree(notes);
			notes = NULL;
		}
	}
	CloseTransientFile(fd);
	return notes;
}

/*
 * The bodies that were running must be counted, unless their entry was counted already.
 * Newest first: notes that no coordinator counts must not fill the list.
 */
static void
carry_over(const Notes *old, Notes *new)
{
	int to = new->head.nslots;

	for (int i = 0; i < 2 * (int) old->head.nslots && to < 2 * (int) new->head.nslots; i++)
		if (is_note(&old->notes[i]) && !old->notes[i].counted)
			new->notes[to++] = old->notes[i];
}

/* ---- in the postmaster: the new mapping ------------------------------------ */

/* written, not only extended: a store into a page without a disk block would raise SIGBUS */
static bool
write_file(int fd, const Notes *notes, Size size)
{
	errno = 0;
	if (pwrite(fd, notes, size, 0) == (ssize_t) size && ftruncate(fd, size) == 0)
		return true;
	/* if write didn't set errno, assume problem is no disk space */
	if (errno == 0)
		errno = ENOSPC;
	return false;
}

static void *
map_file(const Notes *notes, Size size)
{
	int fd = OpenTransientFile(PATH, O_RDWR | O_CREAT | PG_BINARY);
	void *address = MAP_FAILED;
	int save_errno;

	if (fd >= 0 && write_file(fd, notes, size))
		address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	save_errno = errno;
	if (fd >= 0)
		CloseTransientFile(fd);
	errno = save_errno;
	return address == MAP_FAILED ? NULL : address;
}

static void *
map_memory(const Notes *notes, Size size)
{
	void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (address == MAP_FAILED)
		return NULL;
	memcpy(address, notes, size);
	return address;
}

static void
map(const Notes *notes, Size size)
{
	static bool reported = false;

	if (mapped != NULL)
		(void) munmap((void *) mapped, mapped_size);
	mapped = map_file(notes, size);
	in_file = mapped != NULL;
	if (!in_file && !reported)
		ereport(
			LOG,
			(errcode_for_file_access(),
			 errmsg("could not write file \"%s\" of dataflows: %m", PATH),
			 errdetail(
				 "A body that crashes the postmaster, too, is not recognised at the next start."),
			 errhint("Free disk space or let the server write there, and restart it.")));
	reported = !in_file;
	if (!in_file)
		mapped = map_memory(notes, size);
	mapped_size = size;
	slots_mapped = notes->head.nslots;
}

void
df_crash_startup(int nslots)
{
	Size size = size_for(nslots);
	Notes *notes;
	Notes *old = NULL;

	if (!IsPostmasterEnvironment)
		return;
	notes = palloc0(size);
	notes->head.magic = MAGIC;
	notes->head.system = GetSystemIdentifier();
	notes->head.nslots = nslots;
	if (mapped != NULL && !in_file)
		carry_over((const Notes *) mapped, notes);
	else if (!is_standby())
		old = read_file();
	if (old != NULL)
	{
		carry_over(old, notes);
		pfree(old);
	}
	map(notes, size);
	pfree(notes);
}

/* ---- in processes of the engine --------------------------------------------- */

/*
 * The file was truncated, or its file system needs a new block for each store and has
 * none: go on with private memory in its place.  This is more than setting a flag,
 * but mmap() is all it calls.
 */
static void
handle_sigbus(int signo, siginfo_t *info, void *context)
{
	int save_errno = errno;
	char *address = info->si_addr;
	char *begin = (char *) mapped;

	if (begin == NULL || address < begin || address >= begin + mapped_size ||
		mmap(begin, mapped_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			 -1, 0) == MAP_FAILED)
	{
		struct sigaction action;

		/* not our mapping: the default action ends the process when it happens again */
		memset(&action, 0, sizeof(action));
		action.sa_handler = SIG_DFL;
		(void) sigaction(SIGBUS, &action, NULL);
	}
	errno = save_errno;
}

void
df_crash_attach(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = handle_sigbus;
	action.sa_flags = SA_SIGINFO | SA_RESTART;
	sigemptyset(&action.sa_mask);
	(void) sigaction(SIGBUS, &action, NULL);
}

void
df_crash_enter(int slot, Oid database, const pg_uuid_t *run, bool counted)
{
	if (mapped != NULL)
		write_note(&mapped->notes[slot], database, run, counted);
}

void
df_crash_leave(int slot)
{
	if (mapped != NULL && is_note(&mapped->notes[slot]))
		erase(&mapped->notes[slot]);
}

/* the n-th note of the list to be counted, NULL = the list has ended */
static volatile Note *
to_count(int n)
{
	return mapped != NULL && n < slots_mapped ? &mapped->notes[slots_mapped + n] : NULL;
}

void
df_crash_add(Oid database, const pg_uuid_t *run)
{
	volatile Note *note;

	for (int i = 0; (note = to_count(i)) != NULL; i++)
	{
		if (is_note(note))
			continue;
		write_note(note, database, run, false);
		return;
	}
}

int
df_crash_list(Oid database, pg_uuid_t *runs, int max)
{
	volatile Note *note;
	int n = 0;

	for (int i = 0; (note = to_count(i)) != NULL && n < max; i++)
	{
		uint64 words[2] = {note->run[0], note->run[1]};

		if (is_note(note) && note->database == database)
			memcpy(&runs[n++], words, sizeof(words));
	}
	return n;
}

void
df_crash_forget(Oid database, const pg_uuid_t *run)
{
	volatile Note *note;

	for (int i = 0; (note = to_count(i)) != NULL; i++)
		if (is_of(note, database, run))
		{
			erase(note);
			return;
		}
}
