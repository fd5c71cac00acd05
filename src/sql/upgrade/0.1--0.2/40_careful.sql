-- which runs were in their bodies when the server died stands in a file beside the data
COMMENT ON COLUMN dataflows.installation.live IS 'Not used: only a dump of version 0.1 fills it';
