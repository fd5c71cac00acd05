/*
 * shared/crash.c
 *	  Whose bodies were running when the server died: notes in a mapped file.
 *
 * The postmaster reads and writes the file while it makes shared memory; the
 * processes of the engine inherit the mapping and store into it, with or without
 * a transaction.  The file lies where the server keeps what no base backup and
 * no pg_rewind takes along, so that a standby or a copy never has the notes of
 * another server.  After a crash of the operating system it may say too much or
 * too little: one entry more or less is counted, which the next good exit of
 * that body takes back.  Without the file the notes are in memory that outlives
 * a restart of all processes by the postmaster, but not the postmaster.
 *
 * Nothing here may raise an error: no file of ours keeps a server from starting.
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

/* never across a sector: it is written as a whole */
typedef struct Note
{
	uint64 check; /* of what follows; anything else = no note */
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

/* a note per slot, then as many of runs that are to be counted */
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

/* whatever ends the process in here leaves the old note, none, or the new one */
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

/* ---- the postmaster: what is left of the last time ------------------------ */

static Size
size_for(int nslots)
{
	return offsetof(Notes, notes) + sizeof(Note) * 2 * nslots;
}

/* a standby has entered no bodies: what lies there came with a copy of another server's files */
static bool
is_standby(void)
{
	struct stat st;

	return stat(STANDBY_SIGNAL_FILE, &st) == 0 || stat(RECOVERY_SIGNAL_FILE, &st) == 0;
}

/* the whole of the file if it is one of this server's, else NULL */
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
 * What ran becomes what is to be counted, unless its entry has been; the newest
 * first, for what nobody counts must not take the places.
 */
static void
carry_over(const Notes *old, Notes *new)
{
	int to = new->head.nslots;

	for (int i = 0; i < 2 * (int) old->head.nslots && to < 2 * (int) new->head.nslots; i++)
		if (is_note(&old->notes[i]) && !old->notes[i].counted)
			new->notes[to++] = old->notes[i];
}

/* ---- the postmaster: a new mapping ---------------------------------------- */

/* the disk blocks are taken by writing: a store into a page without one would end the process */
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
	static bool said = false;

	if (mapped != NULL)
		(void) munmap((void *) mapped, mapped_size);
	mapped = map_file(notes, size);
	in_file = mapped != NULL;
	if (!in_file && !said)
		ereport(
			LOG,
			(errcode_for_file_access(),
			 errmsg("could not write file \"%s\" of dataflows: %m", PATH),
			 errdetail(
				 "A body that ends the postmaster, too, is not recognised at the next start."),
			 errhint("Make room or give the server the right to write there, and restart it.")));
	said = !in_file;
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

/* ---- processes of the engine ---------------------------------------------- */

/*
 * Somebody has cut the file off, or its file system needs a new block for each
 * store and has none: the notes go on in memory that nobody else sees.  More
 * than to set a flag, but mmap() is all that is called.
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

		/* not ours: it happens again, and ends the process */
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

/* the n-th note of those that are to be counted, NULL = there are not so many */
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
