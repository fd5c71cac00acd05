# dataflows: build, install, test.
#
#   make            builds the library and the extension script
#   make install    installs them beside the server that PG_CONFIG names
#   make demo       sets everything up and tells the story in a throwaway server
#   make example-onboarding   the same for an example; the others are the directories in examples/
#   make check      sets everything up and runs all tests
#   make bench      measures
#   make docs       builds the documentation as a site in build/site
#
# The version stands in dataflows.control and nowhere else.

# systems of vendors: extensions of SQL alone, each in a directory of its own
CONNECTORS = $(patsubst connectors/%/,%,$(sort $(dir $(wildcard connectors/*/*.control))))
EXTENSION = dataflows $(foreach name,$(CONNECTORS),connectors/$(name)/dataflows_$(name))
DF_VERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" dataflows.control)
PG_CONFIG ?= pg_config
export PG_CONFIG

# These work before PostgreSQL's own makefiles are there: setup installs them.
GOALS = setup demo check lint bench docs example-%
ifneq (,$(filter $(GOALS),$(MAKECMDGOALS)))

.PHONY: setup demo check lint bench docs
setup:
	@test/setup.sh
demo:
	@test/demo.sh
example-%:
	@examples/run.sh $*
check:
	@test/check.sh
lint:
	@test/check.sh lint
docs:
	@docs/site/build.sh
bench:
	@if [ -x bench/run.sh ]; then bench/run.sh; else echo 'bench/run.sh is not there'; exit 1; fi

else

MODULE_big = dataflows
PAGE = src/ingress/page/index.html $(sort $(wildcard src/ingress/page/*.css src/ingress/page/*.js) \
	$(wildcard $(addprefix src/ingress/page/vendor/*.,js css txt)))
PAGE_C = src/ingress/page_files.c
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c) $(PAGE_C)))
# frozen: what an installation of 0.1 has; the way from there is concatenated like the schema itself
DATA = $(sort $(wildcard src/sql/upgrade/*.sql connectors/*/*.sql))
UPGRADES = $(patsubst src/sql/upgrade/%,dataflows--%.sql,$(sort $(wildcard src/sql/upgrade/*--*[!.sql])))
DATA_built = dataflows--$(DF_VERSION).sql $(UPGRADES)
EXTRA_CLEAN = dataflows--*.sql $(PAGE_C)

CURL_CONFIG := $(shell command -v curl-config)
ifneq (,$(CURL_CONFIG))
CURL_CFLAGS := $(shell $(CURL_CONFIG) --cflags)
CURL_LIBS := $(shell $(CURL_CONFIG) --libs)
else
CURL_CFLAGS := $(shell pkg-config --cflags libcurl)
CURL_LIBS := $(shell pkg-config --libs libcurl)
endif
PG_CPPFLAGS = -Isrc -DDF_VERSION='"$(DF_VERSION)"' $(CURL_CFLAGS)
SHLIB_LINK = $(CURL_LIBS) -lmicrohttpd -lcrypto -lz

# Nothing here is worth inlining into a query, so no bitcode and no clang.
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# few and small enough to be compiled together when any header changes
$(OBJS): $(wildcard src/*.h src/*/*.h) dataflows.control

dataflows--$(DF_VERSION).sql: $(sort $(wildcard src/sql/*.sql)) dataflows.control
	cat $(filter %.sql,$^) > $@.tmp && mv $@.tmp $@

# Behind its pieces a script that leads to this version restates all comments of
# the schema, so that no piece has to.
COMMENTS = awk '/^COMMENT ON / { on = 1; quotes = 0 } \
	on { print; line = $$0; quotes += gsub(/\047/, ""); if (quotes % 2 == 0 && line ~ /; *$$/) on = 0 }'
define upgrade_rule
$(1): $$(sort $$(wildcard src/sql/upgrade/$(patsubst dataflows--%.sql,%,$(1))/*.sql)) \
		$(if $(filter %--$(DF_VERSION).sql,$(1)),dataflows--$(DF_VERSION).sql)
	cat $$(filter src/%,$$^) > $$@.tmp
	$(if $(filter %--$(DF_VERSION).sql,$(1)),$$(COMMENTS) dataflows--$(DF_VERSION).sql >> $$@.tmp)
	mv $$@.tmp $$@
endef
$(foreach upgrade,$(UPGRADES),$(eval $(call upgrade_rule,$(upgrade))))

# the page is part of the library
$(PAGE_C): $(PAGE) src/ingress/page/embed.sh
	sh src/ingress/page/embed.sh $(PAGE) > $@.tmp && mv $@.tmp $@

endif
