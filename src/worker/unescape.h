/*
 * worker/unescape.h
 *	  Reads characters that are escaped as in JSON, URLs or HTML.
 */
#ifndef DF_UNESCAPE_H
#define DF_UNESCAPE_H

/* escapes within escapes: "\u0026amp;" is two */
#define DF_ESCAPE_LAYERS 2

/* of the longest escape, written within another one */
#define DF_LONGEST_ESCAPE 72

/*
 * Reads an escape of that many layers at the beginning of the text: *n bytes that it
 * stands for.  Returns its length, 0 = there is none.
 */
extern size_t df_unescape(const char *text, size_t len, int layers, unsigned char bytes[4], int *n);

#endif /* DF_UNESCAPE_H */
