/* dataflows: from 0.1 to 0.2, concatenated from src/sql/upgrade/0.1--0.2 in name order. */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION dataflows UPDATE" to load this file. \quit
