/*
 * shared/descriptors.h
 *	  Whether this process may open anything more.
 */
#ifndef DF_DESCRIPTORS_H
#define DF_DESCRIPTORS_H

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* an error that says so, and that of memory: ours, not the other side's */
static inline bool
df_errno_is_shortage(int code)
{
	return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM;
}

/*
 * Libraries often do not say why they could not open something: so it is tried
 * here.  `any` is an open descriptor.
 */
static inline bool
df_descriptors_used_up(int any)
{
	int fd = fcntl(any, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return df_errno_is_shortage(errno);
	close(fd);
	return false;
}

#endif /* DF_DESCRIPTORS_H */
