/*
 * shared/spans.c
 *	  Spans that wait for their export to a collector of traces.
 *
 * Used by workers and sql workers after a commit, outside of transactions, and by
 * sessions that read the counts.  A spinlock is held while one span is copied: never
 * raise an error, allocate or wait while holding it.
 */
#include "postgres.h"

#include "shared/spans.h"
#include "storage/shmem.h"
#include "storage/spin.h"

#define RING 4096

typedef struct Ring
{
	slock_t lock;
	uint64 exported;
	uint64 dropped;
	char error[160];
	uint64 head; /* number of the oldest span */
	uint64 tail; /* number of the next span */
	DfSpan spans[RING];
} Ring;

static Ring *ring = NULL;

Size
df_spans_size(void)
{
	return sizeof(Ring);
}

void
df_spans_startup(void)
{
	bool found;

	ring = ShmemInitStruct("dataflows spans", sizeof(Ring), &found);
	if (found)
		return;
	memset(ring, 0, offsetof(Ring, spans));
	SpinLockInit(&ring->lock);
}

void
df_span_put(const DfSpan *span)
{
	if (ring == NULL)
		return;
	SpinLockAcquire(&ring->lock);
	if (ring->tail - ring->head == RING)
	{
		ring->head++;
		ring->dropped++;
	}
	ring->spans[ring->tail % RING] = *span;
	ring->tail++;
	SpinLockRelease(&ring->lock);
}

/*
 * Databases share the ring, and most servers trace only one: spans of another database
 * are moved from the head to the tail, each at most once.
 */
int
df_spans_take(Oid database, DfSpan *spans, int max)
{
	int n = 0;
	uint64 end;

	if (ring == NULL)
		return 0;
	SpinLockAcquire(&ring->lock);
	end = ring->tail;
	SpinLockRelease(&ring->lock);
	while (n < max)
	{
		bool found;

		SpinLockAcquire(&ring->lock);
		found = ring->head < Min(end, ring->tail);
		if (found)
		{
			DfSpan *span = &ring->spans[ring->head++ % RING];

			if (span->database == database)
				spans[n++] = *span;
			else
			{
				ring->spans[ring->tail % RING] = *span;
				ring->tail++;
			}
		}
		SpinLockRelease(&ring->lock);
		if (!found)
			break;
	}
	return n;
}

/* how many wait, of all databases, if any is of this one; without the lock if the ring is empty */
int
df_spans_waiting(Oid database)
{
	int n = 0;

	if (ring == NULL || ring->head == ring->tail)
		return 0;
	SpinLockAcquire(&ring->lock);
	for (uint64 i = ring->head; i < ring->tail && n == 0; i++)
		if (ring->spans[i % RING].database == database)
			n = (int) (ring->tail - ring->head);
	SpinLockRelease(&ring->lock);
	return n;
}

void
df_spans_sent(int n, const char *error)
{
	if (ring == NULL)
		return;
	SpinLockAcquire(&ring->lock);
	if (error == NULL)
		ring->exported += n;
	else
		ring->dropped += n;
	strlcpy(ring->error, error != NULL ? error : "", sizeof(ring->error));
	SpinLockRelease(&ring->lock);
}

void
df_spans_counts(DfSpanCounts *counts)
{
	memset(counts, 0, sizeof(*counts));
	if (ring == NULL)
		return;
	SpinLockAcquire(&ring->lock);
	counts->exported = ring->exported;
	counts->dropped = ring->dropped;
	counts->waiting = (int) (ring->tail - ring->head);
	strlcpy(counts->error, ring->error, sizeof(counts->error));
	SpinLockRelease(&ring->lock);
}
