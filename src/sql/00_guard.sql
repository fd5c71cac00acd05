/* dataflows: the schema, concatenated from src/sql in name order. */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION dataflows" to load this file. \quit

GRANT USAGE ON SCHEMA dataflows TO PUBLIC;
