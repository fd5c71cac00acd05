/*
 * fdw/options.c
 *	  The options of systems and credentials, and how a system is made from them.
 *
 * Runs in a user's session that creates or alters a server or a user mapping (the
 * validator), and in workers (fdw/system.c), in their transaction and role.  Only the
 * validator raises errors.  Never quote a value here: it may be a secret.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fdw/options.h"
#include "fmgr.h"
#include "http/url.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "shared/read_answers.h"
#include "shared/format_names.h"
#include "shared/header.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/varlena.h"

#define HEADER_PREFIX "header."

#define SECOND 1000.0
#define MINUTE (60.0 * SECOND)
#define HOUR (3600.0 * SECOND)
#define DAY (24.0 * HOUR)

/* a response is kept as jsonb, whose strings have at most 256 MB */
#define LONGEST_BODY (256.0 * 1024 * 1024 - 1)

#define SERVER_BY_KIND(name, kind, field, min, max, preset, mail_preset) \
	name, ForeignServerRelationId, kind, offsetof(DfSystem, field), min, max, preset, \
		mail_preset, false, false
#define SERVER_NUMBER(name, kind, field, min, max, preset) \
	SERVER_BY_KIND(name, kind, field, min, max, preset, preset)
#define SERVER(name, kind, field) SERVER_BY_KIND(name, kind, field, 0, 0, 0, 0)
#define SERVER_SUPERUSER(name, kind, field) \
	name, ForeignServerRelationId, kind, offsetof(DfSystem, field), 0, 0, 0, 0, false, true
#define MAPPING(name, kind, field) \
	name, UserMappingRelationId, kind, offsetof(DfSystem, field), 0, 0, 0, 0, true, false
#define MAPPING_NUMBER(name, kind, field, min, max, preset) \
	name, UserMappingRelationId, kind, offsetof(DfSystem, field), min, max, preset, preset, false, \
		false
#define MAPPING_SUPERUSER(name, kind, field) \
	name, UserMappingRelationId, kind, offsetof(DfSystem, field), 0, 0, 0, 0, true, true

/*
 * Every option: name, kind, field, and for numbers least, greatest and default value.
 * Defaults are here and nowhere else.  Mail servers have longer timeouts, because they
 * delay greeting and accepting.
 */
static const DfOption options_table[] = {
	{SERVER("url", DF_OPTION_URL, url)},
	{SERVER("formerly", DF_OPTION_FORMERLY, formerly)},
	{SERVER_BY_KIND("timeout", DF_OPTION_MS, timeout_ms, 1, DAY, 30 * SECOND, 5 * MINUTE)},
	{SERVER_BY_KIND("connect_timeout", DF_OPTION_MS, connect_timeout_ms, 1, HOUR, 5 * SECOND,
					30 * SECOND)},
	{SERVER("answers", DF_OPTION_ANSWERS, answers)},
	{SERVER("encoding", DF_OPTION_ENCODING, body.encoding)},
	{SERVER("content_type", DF_OPTION_CONTENT_TYPE, body.content_type)},
	{SERVER("form_arrays", DF_OPTION_FORM_ARRAYS, body.form_arrays)},
	{SERVER("idempotency_header", DF_OPTION_HEADER_NAME, idempotency_header)},
	{SERVER("idempotency_body", DF_OPTION_FIELD, idempotency_body)},
	{SERVER("idempotency_query", DF_OPTION_FIELD, idempotency_query)},
	{SERVER_NUMBER("idempotency_ttl", DF_OPTION_LONG_MS, idempotency_ttl_ms, 0, 3650 * DAY, DAY)},
	{SERVER_NUMBER("max_concurrency", DF_OPTION_INT, max_concurrency, 1, 10000, 32)},
	{SERVER("rate_limit", DF_OPTION_RATE, rate_per_second)},
	{SERVER_NUMBER("breaker_failures", DF_OPTION_INT, breaker_failures, 0, 1000000, 5)},
	{SERVER_NUMBER("breaker_cooldown", DF_OPTION_LONG_MS, breaker_cooldown_ms, 1, DAY,
				   30 * SECOND)},
	{SERVER_NUMBER("retry_max_attempts", DF_OPTION_INT, retry.max_attempts, 0, 1000000, 0)},
	{SERVER_NUMBER("retry_initial", DF_OPTION_LONG_MS, retry.initial_ms, 1, 30 * DAY, SECOND)},
	{SERVER_NUMBER("retry_max", DF_OPTION_LONG_MS, retry.max_ms, 1, 30 * DAY, 5 * MINUTE)},
	{SERVER_NUMBER("retry_for", DF_OPTION_LONG_MS, retry.for_ms, 0, 3650 * DAY, DAY)},
	{SERVER_NUMBER("settle", DF_OPTION_LONG_MS, settle_ms, 0, 30 * DAY, MINUTE)},
	{SERVER_NUMBER("max_body", DF_OPTION_BYTES, max_body, 1, LONGEST_BODY, 0)},
	{SERVER_NUMBER("follow_redirects", DF_OPTION_INT, follow_redirects, 0, 20, 0)},
	{SERVER("paused", DF_OPTION_PAUSE, paused)},
	{SERVER("sign", DF_OPTION_SIGN, sign)},
	{SERVER("sign_value", DF_OPTION_SIGN_VALUE, sign_value)},
	{SERVER("sign_timestamp", DF_OPTION_HEADER_NAME, sign_timestamp)},
	{SERVER("aws_sigv4", DF_OPTION_AWS_SIGV4, aws_sigv4)},
	{SERVER_SUPERUSER("proxy", DF_OPTION_PROXY, proxy)},
	{SERVER_SUPERUSER("proxy_ca_file", DF_OPTION_PATH, proxy_ca_file)},
	{SERVER_SUPERUSER("unix_socket", DF_OPTION_SOCKET_PATH, unix_socket)},
	{SERVER_SUPERUSER("starttls", DF_OPTION_STARTTLS, mail_in_clear)},
	{SERVER_SUPERUSER("ca_file", DF_OPTION_PATH, ca_file)},
	{SERVER_SUPERUSER("allow_private", DF_OPTION_BOOL, allow_private)},
	{SERVER_SUPERUSER("private_origins", DF_OPTION_ORIGINS, private_origins)},
	{MAPPING("bearer_token", DF_OPTION_TOKEN, bearer_token)},
	{MAPPING("username", DF_OPTION_USERNAME, username)},
	{MAPPING("password", DF_OPTION_PASSWORD, password)},
	{MAPPING("oauth_token_url", DF_OPTION_HTTP_URL, oauth_token_url)},
	{MAPPING("client_id", DF_OPTION_TEXT, oauth_client_id)},
	{MAPPING("client_secret", DF_OPTION_TEXT, oauth_client_secret)},
	{MAPPING("scope", DF_OPTION_TEXT, oauth_scope)},
	{MAPPING_NUMBER("grant", DF_OPTION_GRANT, oauth_grant, 0, 0, DF_GRANT_CLIENT_CREDENTIALS)},
	{MAPPING("refresh_token", DF_OPTION_TOKEN, refresh_token)},
	{MAPPING("jwt_key", DF_OPTION_PRIVATE_KEY, jwt_key)},
	{MAPPING("jwt_key_id", DF_OPTION_TEXT, jwt_key_id)},
	{MAPPING_NUMBER("jwt_lifetime", DF_OPTION_LONG_MS, jwt_lifetime_ms, SECOND, HOUR, 5 * MINUTE)},
	{MAPPING("secret_path", DF_OPTION_URL_PATH, secret_path)},
	{MAPPING("signing_secret", DF_OPTION_TEXT, signing_secret)},
	{MAPPING("aws_access_key_id", DF_OPTION_TOKEN, aws_access_key)},
	{MAPPING("aws_secret_access_key", DF_OPTION_TOKEN, aws_secret_key)},
	{MAPPING("aws_session_token", DF_OPTION_TOKEN, aws_session_token)},
	{MAPPING("proxy_username", DF_OPTION_USERNAME, proxy_username)},
	{MAPPING("proxy_password", DF_OPTION_PASSWORD, proxy_password)},
	{MAPPING("webhook_secret", DF_OPTION_TEXT, webhook_secret)},
	{MAPPING("webhook_secret_old", DF_OPTION_TEXT, webhook_secret_old)},
	{MAPPING_SUPERUSER("client_cert", DF_OPTION_PATH, client_cert)},
	{MAPPING_SUPERUSER("client_key", DF_OPTION_PATH, client_key)},
};

#define FAMILY(name, catalog, kind) name, catalog, kind, 0, 0, 0, 0, 0, true, false

/*
 * Options whose names the user completes have no field of their own.  Without a catalog,
 * they may be set on a SERVER and on a USER MAPPING.
 */
static const DfOption families[] = {
	{FAMILY(HEADER_PREFIX "Name", InvalidOid, DF_OPTION_HEADER)},
	{FAMILY("token.name", InvalidOid, DF_OPTION_TOKEN_FIELD)},
	{FAMILY("claim.name", UserMappingRelationId, DF_OPTION_CLAIM)},
	{FAMILY("query.name", UserMappingRelationId, DF_OPTION_QUERY)},
};

PG_FUNCTION_INFO_V1(dataflows_fdw_validator);

bool
df_refuse(DfOptionProblem *problem, int sqlstate, char *message, char *hint)
{
	problem->sqlstate = sqlstate;
	problem->message = message;
	problem->detail = NULL;
	problem->hint = hint;
	return false;
}

static const char *
catalog_name(Oid catalog)
{
	return catalog == ForeignServerRelationId ? "SERVER" : "USER MAPPING";
}

static bool
is_header_option(const char *name)
{
	return strncmp(name, HEADER_PREFIX, strlen(HEADER_PREFIX)) == 0;
}

/* "header.", with the dot */
static size_t
prefix_len(const DfOption *family)
{
	return strchr(family->name, '.') + 1 - family->name;
}

static bool
has_family(Oid catalog, const DfOption *family)
{
	return !OidIsValid(family->catalog) || family->catalog == catalog;
}

/* the option of that name in that catalog, or NULL */
static const DfOption *
find_option(const char *name, Oid catalog)
{
	for (int i = 0; i < lengthof(families); i++)
		if (has_family(catalog, &families[i]) &&
			strncmp(name, families[i].name, prefix_len(&families[i])) == 0)
			return &families[i];
	for (int i = 0; i < lengthof(options_table); i++)
		if (options_table[i].catalog == catalog && strcmp(options_table[i].name, name) == 0)
			return &options_table[i];
	return NULL;
}

/* turning something off that is off by default needs no right */
static bool
needs_superuser(const DfOption *option, const char *value)
{
	bool on;

	if (!option->superuser)
		return false;
	if (option->kind == DF_OPTION_STARTTLS)
		return strcmp(value, "require") != 0;
	return option->kind != DF_OPTION_BOOL || !parse_bool(value, &on) || on;
}

/* ---- presets -------------------------------------------------------------- */

static void
preset(DfSystem *system, const DfOption *option, double value)
{
	void *field = (char *) system + option->offset;

	switch (option->kind)
	{
		case DF_OPTION_MS:
		case DF_OPTION_INT:
			*(int *) field = (int) value;
			break;
		case DF_OPTION_LONG_MS:
		case DF_OPTION_BYTES:
			*(int64 *) field = (int64) value;
			break;
		default:
			break; /* texts are not set, switches are off */
	}
}

void
df_options_preset(DfSystem *system)
{
	memset(system, 0, sizeof(*system));
	for (int i = 0; i < lengthof(options_table); i++)
		preset(system, &options_table[i], options_table[i].preset);
}

const DfSystem *
df_system_presets(void)
{
	static DfSystem presets;

	df_options_preset(&presets);
	return &presets;
}

/* ---- unknown names -------------------------------------------------------- */

static char *
list_of_options(Oid catalog)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < lengthof(options_table); i++)
		if (options_table[i].catalog == catalog)
			appendStringInfo(&list, "%s, ", options_table[i].name);
	for (int i = 0; i < lengthof(families); i++)
		if (has_family(catalog, &families[i]))
			appendStringInfo(&list, "\"%s\", ", families[i].name);
	list.data[list.len - 2] = '\0';
	return list.data;
}

/*
 * the option with the fewest differing letters, if few enough; else one that contains the
 * name ("user")
 */
static const char *
nearest_option(const char *name, Oid catalog)
{
	char *lower = asc_tolower(name, strlen(name));
	const char *nearest = NULL;
	const char *holder = NULL;
	int distance = Min(4, (int) strlen(name) / 2) + 1;

	for (int i = 0; i < lengthof(options_table); i++)
	{
		const DfOption *option = &options_table[i];
		int d;

		if (option->catalog != catalog)
			continue;
		d = varstr_levenshtein_less_equal(lower, strlen(lower), option->name, strlen(option->name),
										  1, 1, 1, distance - 1, true);
		if (d < distance)
		{
			distance = d;
			nearest = option->name;
		}
		if (holder == NULL && strlen(lower) >= 4 && strstr(option->name, lower) != NULL)
			holder = option->name;
	}
	pfree(lower);
	return nearest != NULL ? nearest : holder;
}

static bool
refuse_name(const char *name, Oid catalog, DfOptionProblem *problem)
{
	Oid other = catalog == ForeignServerRelationId ? UserMappingRelationId
												   : ForeignServerRelationId;
	const char *nearest = nearest_option(name, catalog);
	char *hint;

	if (find_option(name, other) != NULL)
		hint = psprintf("\"%s\" is an option of a %s, not of a %s.", name,
						catalog_name(other), catalog_name(catalog));
	else if (pg_strncasecmp(name, "header", 6) == 0)
		hint = pstrdup("A header is set by an option with its name, such as \"" HEADER_PREFIX
					   "X-Api-Version\".");
	else if (nearest != NULL)
		hint = psprintf("Perhaps you meant the option \"%s\".", nearest);
	else if ((nearest = nearest_option(name, other)) != NULL)
		hint = psprintf("Perhaps you meant \"%s\", which is an option of a %s, not of a %s.",
						nearest, catalog_name(other), catalog_name(catalog));
	else
		hint = psprintf("The options of a %s are: %s.", catalog_name(catalog),
						list_of_options(catalog));
	return df_refuse(problem, ERRCODE_FDW_INVALID_OPTION_NAME,
					 psprintf("invalid option \"%s\"", name), hint);
}

/* ---- headers -------------------------------------------------------------- */

static bool
is_one_of(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (pg_strcasecmp(name, *names) == 0)
			return true;
	return false;
}

static bool
header_name_allowed(const char *option, const char *name, Oid catalog, DfOptionProblem *problem)
{
	DfHeaderKind kind = df_header_kind(name, strlen(name));

	if (!df_header_name_is_legal(name, strlen(name)))
		return df_refuse(problem, ERRCODE_FDW_INVALID_OPTION_NAME,
						 pstrdup("an option that sets a header has an invalid header name"),
						 pstrdup("Write \"" HEADER_PREFIX
								 "\" and a name of letters, digits and hyphens."));
	if (kind == DF_HEADER_TRANSPORT)
		return df_refuse(problem, ERRCODE_FDW_INVALID_OPTION_NAME,
						 psprintf("option \"%s\" is not allowed", option),
						 psprintf("The header \"%s\" belongs to each request and cannot be set.",
								  name));
	if (kind == DF_HEADER_KEY)
		return df_refuse(problem, ERRCODE_FDW_INVALID_OPTION_NAME,
						 psprintf("option \"%s\" is not allowed", option),
						 pstrdup("Each step has its own key; name the header that carries it by "
								 "the option \"idempotency_header\" of the SERVER."));
	if (catalog == ForeignServerRelationId && kind == DF_HEADER_SECRET)
		return df_refuse(
			problem, ERRCODE_FDW_INVALID_OPTION_NAME,
			psprintf("option \"%s\" is not allowed on a SERVER", option),
			pstrdup("Every role can read the options of a server; set it on a USER MAPPING."));
	return true;
}

/* not empty: for libcurl "Name:" means that the header is not sent */
static bool
header_value_is_valid(const char *value)
{
	return *value != '\0' && *value != ' ' && *value != '\t' &&
		df_header_value_is_legal(value, strlen(value));
}

/* a header of the mapping replaces the server's; `first` is the mapping's first one */
static bool
set_header(DfSystem *system, Oid catalog, DefElem *def, int first, DfOptionProblem *problem)
{
	const char *name = def->defname + strlen(HEADER_PREFIX);
	const char *value = strVal(def->arg);
	int at;

	if (!header_name_allowed(def->defname, name, catalog, problem))
		return false;
	if (!header_value_is_valid(value))
		return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
						 psprintf("invalid value for option \"%s\"", def->defname),
						 df_option_valid(find_option(def->defname, catalog)));
	if (catalog == UserMappingRelationId && system->idempotency_header != NULL &&
		df_header_is(name, strlen(name), system->idempotency_header))
		return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
						 psprintf("option \"%s\" sets the header that carries the idempotency key",
								  def->defname),
						 pstrdup("Each step has its own key; drop the option that sets this "
								 "header."));
	at = df_system_header(system, name);
	if (at >= first)
		return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
						 psprintf("the header of option \"%s\" is set twice", def->defname),
						 pstrdup("Names of headers are the same in upper and lower case; drop one "
								 "of the two options."));
	if (at < 0)
		at = system->nheaders++;
	if (system->headers == NULL)
	{
		system->headers = palloc(sizeof(char *));
		system->header_is_secret = palloc(sizeof(bool));
	}
	else
	{
		system->headers = repalloc(system->headers, system->nheaders * sizeof(char *));
		system->header_is_secret =
			repalloc(system->header_is_secret, system->nheaders * sizeof(bool));
	}
	system->header_is_secret[at] = catalog == UserMappingRelationId;
	system->headers[at] = psprintf("%s: %s", name, value);
	return true;
}

/* ---- one object's whole list ---------------------------------------------- */

/* ---- systems that are mail servers ---------------------------------------- */

/* options that concern HTTP requests only */
static const char *const http_options[] = {
	"answers",
	"encoding",
	"content_type",
	"form_arrays",
	"idempotency_header",
	"idempotency_body",
	"idempotency_query",
	"idempotency_ttl",
	"settle",
	"max_body",
	"follow_redirects",
	"sign",
	"sign_value",
	"sign_timestamp",
	"aws_sigv4",
	NULL,
};

static bool
is_given(List *options, const char *name)
{
	ListCell *lc;

	foreach (lc, options)
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return true;
	return false;
}

/* refuses options that would have no effect, because somebody would rely on them */
static bool
mail_options_apply(DfSystem *system, List *options, DfOptionProblem *problem)
{
	ListCell *lc;

	foreach (lc, options)
	{
		const char *name = lfirst_node(DefElem, lc)->defname;

		if (is_one_of(name, http_options) || is_header_option(name))
			return df_refuse(problem, ERRCODE_FDW_INVALID_OPTION_NAME,
							 psprintf("option \"%s\" is not for a mail server", name),
							 pstrdup("Drop it: it is about HTTP, and the url begins with smtp. "
									 "Headers of a mail are given to dataflows.send_mail()."));
	}
	if (df_url_scheme(system->url) == DF_URL_SMTPS && is_given(options, "starttls"))
		return df_refuse(problem, ERRCODE_FDW_INVALID_OPTION_NAME,
						 pstrdup("option \"starttls\" is not for an url that begins with smtps"),
						 pstrdup("Drop it: such a connection is secure from its first byte."));
	for (int i = 0; i < lengthof(options_table); i++)
		if (options_table[i].mail_preset != options_table[i].preset &&
			!is_given(options, options_table[i].name))
			preset(system, &options_table[i], options_table[i].mail_preset);
	return true;
}

static bool
server_kind_apply(DfSystem *system, List *options, DfOptionProblem *problem)
{
	system->mail = df_url_is_mail(system->url);
	if (system->mail)
		return mail_options_apply(system, options, problem);
	if (!is_given(options, "starttls"))
		return true;
	return df_refuse(problem, ERRCODE_FDW_INVALID_OPTION_NAME,
					 pstrdup("option \"starttls\" is for mail servers only"),
					 pstrdup("Drop it, or give an url that begins with smtp."));
}

/* the same words as for a step */
static bool
set_answers(DfSystem *system, const char *value, DfOptionProblem *problem)
{
	DfAnswersProblem wrong;

	system->answers = df_answers_from_text(value, "answers", &wrong);
	if (system->answers != NULL)
		return true;
	return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE, wrong.message, wrong.hint);
}

static bool
is_url(const DfOption *option)
{
	return option->kind == DF_OPTION_URL || option->kind == DF_OPTION_HTTP_URL ||
		option->kind == DF_OPTION_ORIGINS || option->kind == DF_OPTION_FORMERLY;
}

static bool
set_option(DfSystem *system, Oid catalog, DefElem *def, int first, DfOptionProblem *problem)
{
	const DfOption *option = find_option(def->defname, catalog);
	const char *why;

	if (option == NULL)
		return refuse_name(def->defname, catalog, problem);
	if (option->kind == DF_OPTION_HEADER)
		return set_header(system, catalog, def, first, problem);
	if (option->kind == DF_OPTION_TOKEN_FIELD || option->kind == DF_OPTION_CLAIM)
		return df_oauth_set_named(option->kind == DF_OPTION_CLAIM ? &system->claims
																  : &system->token_fields,
								  option, catalog, def->defname + prefix_len(option),
								  strVal(def->arg), problem);
	if (option->kind == DF_OPTION_ANSWERS)
		return set_answers(system, strVal(def->arg), problem);
	if (option->kind == DF_OPTION_QUERY)
		return df_query_set_named(&system->query, option, def->defname + prefix_len(option),
								  strVal(def->arg), problem);
	if (df_option_parse(option, strVal(def->arg), (char *) system + option->offset, &why))
		return true;
	df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
			  psprintf("invalid value for option \"%s\"", option->name), df_option_valid(option));
	if (why != NULL)
		problem->detail = psprintf(is_url(option) ? "The URL cannot be used: %s."
												  : "It cannot be used: %s.",
								   why);
	return false;
}

/* naming the header says that the system honours it; '' means that none is sent */
static bool
set_idempotency_header(DfSystem *system, DfOptionProblem *problem)
{
	const char *header = system->idempotency_header;

	if (header == NULL)
		system->idempotency_header = pstrdup(DF_IDEMPOTENCY_HEADER);
	else if (*header == '\0')
		system->idempotency_header = NULL;
	else if (df_header_kind(header, strlen(header)) != DF_HEADER_FREE &&
			 df_header_kind(header, strlen(header)) != DF_HEADER_KEY)
		return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
						 pstrdup("invalid value for option \"idempotency_header\""),
						 pstrdup("Name a header that has no other meaning, such as "
								 "\"Idempotency-Key\", or write '' so that none is sent."));
	system->idempotency_trusted = header != NULL && *header != '\0';
	return true;
}

bool
df_options_apply(DfSystem *system, Oid catalog, List *options, DfOptionProblem *problem)
{
	int first = system->nheaders;
	ListCell *lc;

	foreach (lc, options)
	{
		if (!set_option(system, catalog, lfirst_node(DefElem, lc), first, problem))
			return false;
	}
	if (catalog == UserMappingRelationId)
		return df_mapping_rules(system, problem);
	return set_idempotency_header(system, problem) && df_server_rules(system, problem) &&
		server_kind_apply(system, options, problem);
}

void
df_options_forget(DfSystem *system)
{
	for (int i = 0; i < lengthof(options_table); i++)
	{
		char **field = (char **) ((char *) system + options_table[i].offset);

		if (!options_table[i].secret || *field == NULL)
			continue;
		explicit_bzero(*field, strlen(*field));
		*field = NULL;
	}
	for (int i = 0; i < system->nheaders; i++)
		explicit_bzero(system->headers[i], strlen(system->headers[i]));
	system->nheaders = 0;
	df_named_values_forget(&system->token_fields);
	df_named_values_forget(&system->claims);
	df_named_values_forget(&system->query);
}

/* ---- the validator -------------------------------------------------------- */

static void
check_catalog(Oid catalog, List *options)
{
	if (catalog == ForeignTableRelationId)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a system has no foreign tables"),
				 errhint("Call it from a workflow, with dataflows.http().")));
	if (options != NIL && catalog != ForeignServerRelationId && catalog != UserMappingRelationId)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", linitial_node(DefElem, options)->defname),
				 errhint("Set options on a SERVER or on a USER MAPPING of this wrapper.")));
}

/*
 * Checks the whole list, so that nobody can change what a superuser has allowed: the url of
 * a server that may reach private addresses, for example.
 */
static void
check_rights(Oid catalog, List *options)
{
	ListCell *lc;

	if (superuser())
		return;
	foreach (lc, options)
	{
		DefElem *def = lfirst_node(DefElem, lc);
		const DfOption *option = find_option(def->defname, catalog);

		if (option != NULL && needs_superuser(option, strVal(def->arg)))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to set option \"%s\"", option->name),
					 errdetail("Only superusers may create or alter a %s that has this option.",
							   catalog_name(catalog)),
					 errhint("Ask a superuser, or drop the option.")));
	}
}

Datum
dataflows_fdw_validator(PG_FUNCTION_ARGS)
{
	List *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);
	DfOptionProblem problem;
	DfSystem system;
	bool valid;

	check_catalog(catalog, options);
	if (catalog != ForeignServerRelationId && catalog != UserMappingRelationId)
		PG_RETURN_VOID();
	df_options_preset(&system);
	valid = df_options_apply(&system, catalog, options, &problem);
	df_options_forget(&system);
	if (!valid)
		ereport(ERROR,
				(errcode(problem.sqlstate),
				 errmsg("%s", problem.message),
				 problem.detail != NULL ? errdetail("%s", problem.detail) : 0,
				 errhint("%s", problem.hint)));
	check_rights(catalog, options);
	PG_RETURN_VOID();
}
