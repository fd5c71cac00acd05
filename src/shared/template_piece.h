/*
 * shared/template_piece.h
 *	  A template, piece by piece: text, and fields with their filters.
 *
 * Pure functions over text and jsonb.
 */
#ifndef DF_TEMPLATE_PIECE_H
#define DF_TEMPLATE_PIECE_H

#include "utils/jsonb.h"

typedef enum DfPieceKind
{
	DF_PIECE_END,
	DF_PIECE_TEXT,
	DF_PIECE_FIELD,
	DF_PIECE_BAD
} DfPieceKind;

typedef struct DfPiece
{
	DfPieceKind kind;
	const char *text; /* the text, or the field's name */
	int len;
	/* filters of a field, applied in this order */
	bool path;
	bool last;
	bool quoted;
	const char *problem; /* of a bad one, a sentence */
} DfPiece;

/* the piece at p; returns where the next one begins */
extern const char *df_piece_next(const char *p, DfPiece *piece);

/* whether it is the field of that name */
extern bool df_piece_is(const DfPiece *piece, const char *name);

/* whether it is that field, or one below it such as request.x; *rest, *len: after the dot */
extern bool df_piece_is_below(const DfPiece *piece, const char *name, const char **rest, int *len);

/* whether it is one of the response's body; *value: what the body has there, NULL = nothing */
extern bool df_piece_of_body(const DfPiece *piece, const Jsonb *body, JsonbValue **value);

/* a field that is known when the step is called */
extern bool df_piece_is_known(const DfPiece *piece);

static inline bool
df_piece_is_filtered(const DfPiece *piece)
{
	return piece->path || piece->last || piece->quoted;
}

/*
 * The first field of the template that only the body of the response can fill, and that this one
 * cannot: "data.id"; NULL = none.  is_path: of 'METHOD /path', where each value is needed as text.
 */
extern char *df_template_lacks(const char *tmpl, const Jsonb *body, bool is_path);

#endif /* DF_TEMPLATE_PIECE_H */
